"""lab reproduce CSV: the same rows, or which differ; models and images that are others are refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infer.model.session import Session

pytestmark = pytest.mark.usefixtures("temporary")
Lab = Callable[..., Any]


@pytest.fixture
def predict(lab: Lab, model: Path, cells: Path, tmp_path: Path) -> Callable[..., Path]:
    """Predict a copy of the test images; the CSV."""
    shutil.copytree(cells, tmp_path / "cells")
    shutil.copy(model, tmp_path / "model.onnx")

    def run(*options: str | Path, source: str = "cells/test") -> Path:
        outputs = ("--model", tmp_path / "model.onnx", "--out", tmp_path / "out" / "s.csv")
        ran = lab("predict", tmp_path / source, *outputs, *options)
        assert ran.code == 0, ran.err
        return tmp_path / "out" / "s.csv"

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ((), 1),
        (("--probabilities", "{out}/p.csv", "--min-confidence", "0.9", "--no-sample", "-b", "5"), 2),
        (("--probabilities", "{out}/p.parquet", "--top-k", "1", "--truth", "{cells}/test_labels.csv"), 2),
        (("--tta", "flips", "--bad-images", "guess"), 1),
    ],
)
def test_a_prediction_is_repeated_byte_for_byte_from_its_record(
    options: tuple[str, ...], files: int, predict: Callable[..., Path], lab: Lab, tmp_path: Path, temporary: Path
) -> None:
    if "guess" in options:
        (tmp_path / "cells" / "test" / sorted((tmp_path / "cells" / "test").iterdir())[0].name).write_bytes(b"no image")
    folders = {"out": tmp_path / "out", "cells": tmp_path / "cells"}
    csv = predict(*(option.format(**folders) for option in options))
    before = contents(tmp_path / "out")
    ran = lab("reproduce", csv)
    assert ran.code == 0, ran.err
    assert ran.out.count("equal byte for byte") == files
    assert contents(tmp_path / "out") == before
    assert list(temporary.iterdir()) == []


def test_a_list_of_images_is_repeated_from_another_folder(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"test/{path.name}" for path in sorted((tmp_path / "cells" / "test").glob("*"))[:3]]
    (tmp_path / "cells" / "list.txt").write_text("\n".join(names))
    csv = predict("--no-sample", source="cells/list.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert lab("reproduce", csv, "--out", "again.csv").code == 0
    assert Path("again.csv").read_bytes() == csv.read_bytes()


def test_rows_that_were_changed_by_hand_are_counted_with_exit_code_3(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path, temporary: Path
) -> None:
    csv = predict("--probabilities", tmp_path / "out" / "p.csv", "--no-sample")
    label = csv.read_text().splitlines()[1].partition(",")[2]
    csv.write_text(csv.read_text().replace(f",{label}\n", ",changed\n", 1))
    probabilities = tmp_path / "out" / "p.csv"
    header, first, *rest = probabilities.read_text().splitlines()
    name, *_ = first.split(",")
    probabilities.write_text("\n".join([header, f"{name},0.5,0.5", *rest]) + "\n")
    ran = lab("reproduce", csv)
    assert ran.code == 3
    assert "s.csv: 1 of 12 rows have another label; the first row that differs is" in ran.out
    assert "p.csv: 1 of 12 rows have other probabilities, by up to 0." in ran.out
    assert "s.csv was changed after lab had written it, and the new rows are those that it had" in ran.out
    (error,) = ran.err.splitlines()
    assert error.startswith(f"error: {csv} was predicted again and is not equal: ")
    assert list(temporary.iterdir()) == []


def test_other_versions_and_processors_are_named_as_possible_causes(predict: Callable[..., Path], lab: Lab) -> None:
    csv = predict()
    path = csv.with_suffix(".prediction.json")
    record = json.loads(path.read_text())
    record["environment"] |= {"pillow": "9.0.0", "processor": "Z80"}
    path.write_text(json.dumps(record))
    ran = lab("reproduce", csv)
    assert ran.code == 0
    assert "although another: pillow 9.0.0, now" in ran.out
    csv.write_text(csv.read_text() + "more.png,0\n")
    ran = lab("reproduce", csv)
    assert ran.code == 3
    assert "possible cause: processor Z80, now" in ran.out
    assert "12 rows instead of 13; the first row that differs is more.png" in ran.out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model", "model.onnx is not the file that predicted; give that one with --model"),
        ("one image less", "there are 11 images, 12 were predicted; give those with --data"),
        ("another size", "images have other names or sizes than those predicted; give those with --data"),
        ("another name", "images have other names or sizes than those predicted"),
    ],
)
def test_another_model_or_other_images_are_refused_with_exit_code_1(
    change: str, message: str, predict: Callable[..., Path], lab: Lab, tmp_path: Path, run: Path
) -> None:
    csv = predict("--no-sample")
    first, *_ = sorted((tmp_path / "cells" / "test").iterdir())
    if change == "model":
        lab("export", run, "--opset", "18", "--device", "cpu", "--out", tmp_path / "model.onnx")
    elif change == "one image less":
        first.unlink()
    elif change == "another size":
        first.write_bytes(first.read_bytes() + b"\0")
    else:
        first.rename(first.with_name("other" + first.suffix))
    ran = lab("reproduce", csv)
    assert (ran.code, message in ran.err) == (1, True), ran.err


def test_images_and_models_that_have_moved_are_found_where_the_options_say(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path
) -> None:
    csv = predict("--no-sample")
    (tmp_path / "cells" / "test").rename(tmp_path / "moved")
    (tmp_path / "model.onnx").rename(tmp_path / "moved.onnx")
    assert lab("reproduce", csv).code == 1
    ran = lab("reproduce", csv, "--data", tmp_path / "moved", "--model", tmp_path / "moved.onnx")
    assert ran.code == 0, ran.err


def test_a_list_from_standard_input_must_be_given_again(predict: Callable[..., Path], lab: Lab, tmp_path: Path) -> None:
    csv = predict()
    path = csv.with_suffix(".prediction.json")
    record = json.loads(path.read_text())
    record["options"]["source"] = "-"
    path.write_text(json.dumps(record))
    ran = lab("reproduce", csv)
    assert (ran.code, "came from standard input; give the list with --data" in ran.err) == (2, True)
    assert lab("reproduce", csv, "--data", tmp_path / "cells" / "test").code == 0


def test_a_csv_without_a_record_is_an_error(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("ID,label\n")
    ran = lab("reproduce", tmp_path / "old.csv")
    assert (ran.code, "there is no old.prediction.json beside" in ran.err) == (1, True)
    ran = lab("reproduce", tmp_path / "absent.csv")
    assert (ran.code, "does not exist; name a run's folder, or a CSV" in ran.err) == (1, True)


def test_names_that_a_spreadsheet_would_run_are_repeated_as_they_were_written(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path
) -> None:
    first, *_ = sorted((tmp_path / "cells" / "test").iterdir())
    first.rename(first.with_name("=1+0" + first.suffix))
    for option in ((), ("--raw-csv",)):
        csv = predict("--no-sample", *option)
        ran = lab("reproduce", csv)
        assert ran.code == 0, ran.err


def test_a_pattern_is_repeated_below_a_folder_whose_name_would_be_one(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tmp_path / "cells", tmp_path / "c[1]*")
    monkeypatch.chdir(tmp_path / "c[1]*")
    ran = lab("predict", "test/*.jpg", "--model", tmp_path / "model.onnx", "--no-sample", "--out", "s.csv")
    assert ran.code == 0, ran.err
    monkeypatch.chdir(tmp_path)
    ran = lab("reproduce", tmp_path / "c[1]*" / "s.csv")
    assert ran.code == 0, ran.err


def test_where_auto_chose_several_runtimes_it_is_recorded_and_chooses_again(
    lab: Lab, model: Path, run: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.onnx"
    assert lab("export", run, "--opset", "18", "--out", other).code == 0
    given = ("--model", model, "--model", other, "--no-sample", "--out", tmp_path / "s.csv")
    assert lab("predict", cells / "test", *given).code == 0
    path = tmp_path / "s.prediction.json"
    assert json.loads(path.read_text())["options"]["runtime"] == "onnxruntime"
    opened = Session.__init__

    def open_by_two(self: Session, path: Path, *given: Any, **named: Any) -> None:
        opened(self, path, *given, **named)
        if path == other:
            self.provider = replace(self.provider, runtime="another")

    monkeypatch.setattr(Session, "__init__", open_by_two)
    assert lab("predict", cells / "test", *given).code == 0
    options = json.loads(path.read_text())["options"]
    assert (options["device"], options["runtime"]) == ("cpu", "auto")
    ran = lab("reproduce", tmp_path / "s.csv")
    assert ran.code == 0, ran.err


def test_a_record_of_a_csv_with_another_suffix_is_not_taken_for_ones_own(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path
) -> None:
    csv = predict()
    shutil.copy(csv, csv.with_suffix(".txt"))
    ran = lab("reproduce", csv.with_suffix(".txt"))
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "s.prediction.json is of s.csv, not of s.txt; predict again" in ran.err


def test_the_new_rows_do_not_take_the_record_and_the_report_of_the_old(predict: Callable[..., Path], lab: Lab) -> None:
    csv = predict()
    ran = lab("reproduce", csv, "--out", csv.with_suffix(".txt"))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"s.txt would replace record and report of {csv}; give another" in ran.err


def test_the_probabilities_to_compare_with_are_not_overwritten(
    predict: Callable[..., Path], lab: Lab, tmp_path: Path
) -> None:
    csv = predict("--probabilities", tmp_path / "out" / "p.csv")
    before = (tmp_path / "out" / "p.csv").read_bytes()
    ran = lab("reproduce", csv, "--out", tmp_path / "out" / "p.csv")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "p.csv is read and would be overwritten; give another --out" in ran.err
    assert (tmp_path / "out" / "p.csv").read_bytes() == before
