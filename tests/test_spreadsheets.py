"""No CSV that a command writes runs in a spreadsheet, and what lab reads back is as it was, with --raw-csv too."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infer.dataset.source import read_table
from infer.dataset.table import TRAIN, Table, read_run_table
from infer.model.card import ClassName
from infer.reports.saved_report import read_report

HOSTILE = ["=cmd|'x'!A0.png", "+a(1).png", "@x.png", "plain.png", "-12.png"]
GUARDED = ["'=cmd|'x'!A0.png", "'+a(1).png", "'@x.png", "plain.png", "-12.png"]
TRUTH = ["0", "1", "0", "1", "0"]


def column(path: Path, name: str) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.fixture
def images(tmp_path: Path, cells: Path) -> Path:
    """A folder of five images, of which three have names that are formulas, and their true labels beside it."""
    (tmp_path / "in").mkdir()
    pictures = sorted((cells / "test").rglob("*.png")) + sorted((cells / "test").rglob("*.jpg"))
    for name, picture in zip(HOSTILE, pictures, strict=False):
        shutil.copy(picture, tmp_path / "in" / name)
    lines = (f'"{name}",{label}\n' for name, label in zip(HOSTILE, TRUTH, strict=True))
    (tmp_path / "truth.csv").write_text("image,label\n" + "".join(lines))
    return tmp_path / "in"


def test_predictions_reports_and_comparisons_hold_no_formula_and_are_read_back(
    lab: Callable, model: Path, images: Path, tmp_path: Path
) -> None:
    options = ("--model", model, "--no-pictures")
    out, beside = tmp_path / "a.csv", tmp_path / "p.csv"
    ran = lab("predict", images, *options, "--out", out, "--probabilities", beside, "--truth", tmp_path / "truth.csv")
    assert ran.code == 0, ran.err
    told = re.findall(r"note: the CSV has an apostrophe before names or labels .*\(3\)", ran.out + ran.err)
    assert len(told) == 1
    assert sorted(column(out, "ID")) == sorted(column(beside, "ID")) == sorted(GUARDED)
    assert sorted(column(tmp_path / "a.report" / "predictions.csv", "path")) == sorted(GUARDED)
    assert sorted(read_report(tmp_path / "a.report").paths) == sorted(HOSTILE)

    again = ("predict", images, *options, "--out", tmp_path / "b.csv", "--truth", out)  # its own labels as the truth
    ran = lab(*again, "--raw-csv")
    assert ran.code == 0, ran.err
    assert "warning: the CSV holds names" in ran.out + ran.err
    assert column(tmp_path / "b.csv", "ID") == column(tmp_path / "b.report" / "predictions.csv", "path")
    assert sorted(column(tmp_path / "b.csv", "ID")) == sorted(HOSTILE)
    result = read_report(tmp_path / "b.report")
    np.testing.assert_array_equal(result.truth, result.predicted)

    ran = lab("compare", tmp_path / "a.report", tmp_path / "b.report", "--out", tmp_path / "c")
    assert ran.code == 1  # the truths differ
    shutil.copytree(tmp_path / "a.report", tmp_path / "d.report")
    ran = lab("compare", tmp_path / "a.report", tmp_path / "d.report", "--out", tmp_path / "c")
    assert ran.code == 0, ran.err
    assert "--raw-csv" in ran.out + ran.err


def test_a_prediction_is_an_input_and_a_list_of_unreadable_images_names_no_formula(
    lab: Callable, model: Path, images: Path, tmp_path: Path
) -> None:
    (images / "=bad(1).png").write_bytes(b"no picture")
    out = images / "first.csv"
    ran = lab("predict", images, "--model", model, "--out", out, "--bad-images", "skip")
    assert ran.code == 0, ran.err
    bad = images / "first.bad.csv"
    assert column(bad, "ID") == ["'=bad(1).png"]
    assert not column(bad, "path")[0].startswith("=")
    ran = lab("predict", out, "--model", model, "--out", images / "second.csv")
    assert ran.code == 0, ran.err
    assert (images / "second.csv").read_bytes() == out.read_bytes()


def test_a_split_holds_no_formula_and_is_read_back_with_its_labels(
    lab: Callable, save_image: Callable[..., Path], tmp_path: Path
) -> None:
    for label in ("=a(1)", "+b(2)"):
        for index in range(6):
            save_image(tmp_path / "set" / label / f"{index}.png", seed=index if label == "=a(1)" else index + 6)
    guarded, raw = tmp_path / "set", shutil.copytree(tmp_path / "set", tmp_path / "raw" / "set")
    ran = lab("data", "split", guarded, "--out", guarded)
    assert ran.code == 0, ran.err
    assert "an apostrophe before names or labels" in ran.out + ran.err
    assert set(column(guarded / "train.csv", "label")) == {"'=a(1)", "'+b(2)"}
    assert all(path.startswith(("'=a(1)/", "'+b(2)/")) for path in column(guarded / "train.csv", "Path"))
    ran = lab("data", "split", raw, "--out", raw, "--raw-csv")
    assert ran.code == 0, ran.err
    assert set(column(raw / "train.csv", "label")) == {"=a(1)", "+b(2)"}
    tables = [read_table(folder) for folder in (guarded, raw)]
    assert tables[0].fingerprint() == tables[1].fingerprint()
    assert {str(item) for item in tables[0].classes} == {"=a(1)", "+b(2)"}


def test_the_data_table_of_a_run_comes_back_with_names_that_are_formulas(tmp_path: Path) -> None:
    classes = (ClassName("=a(1)", "=a(1)"), ClassName("b", "b"))
    table = Table(
        name="set",
        layout="",
        root=tmp_path,
        classes=classes,
        paths=("=1.png", "'=2.png", "-3.png"),
        labels=np.array([0, 1, -1]),
        groups=("@p", "", "-1"),
        splits=(TRAIN,) * 3,
    )
    table.write(tmp_path / "data.csv")
    assert column(tmp_path / "data.csv", "path") == ["'=1.png", "''=2.png", "-3.png"]
    read = read_run_table(tmp_path / "data.csv", tmp_path, classes)
    assert (read.paths, read.groups, read.labels.tolist()) == (table.paths, table.groups, [0, 1, -1])
