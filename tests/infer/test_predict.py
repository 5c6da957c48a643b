"""`lab predict` as a user sees it: files, exit codes, printed lines."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from infer.core.errors import OutputError
from infer.core.exclusive import exclusive
from infer.core.remote import local_file
from infer.images.preprocess import read_window
from infer.model.card import read_card
from infer.model.session import Session

ROOT = Path(__file__).parents[2]


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture
def folder(tmp_path: Path, cells: Path) -> Path:
    """The test cells in a folder of their own, without a sample submission beside it."""
    return shutil.copytree(cells / "test", tmp_path / "images")


def test_a_folder_gives_id_and_label_in_natural_order(
    lab: Callable, model: Path, tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for name in ("img10.png", "img9.png", "sub/img1.png"):
        save_image(tmp_path / "in" / name)
    ran = lab("predict", tmp_path / "in", "--model", model, "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    written = rows(tmp_path / "out.csv")
    assert written[0] == ["ID", "label"]
    assert [row[0] for row in written[1:]] == ["img9.png", "img10.png", "sub/img1.png"]
    assert {row[1] for row in written[1:]} <= {"0", "1"}


def test_dark_values_and_further_pages_are_noted(lab: Callable, model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(tmp_path / "in" / "deep.png")
    page = Image.new("RGB", (32, 32))
    page.save(tmp_path / "in" / "pages.tif", save_all=True, append_images=[page])
    ran = lab("predict", tmp_path / "in", "--model", model, "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    assert "1 of 2 images has more than one page or frame; the first is used" in " ".join((ran.out + ran.err).split())
    assert "their largest value is 1,023, which takes 10 bits" in " ".join((ran.out + ran.err).split())


def test_labels_are_those_of_the_largest_probability_of_the_session(
    lab: Callable, model: Path, tmp_path: Path, folder: Path
) -> None:
    out, side = tmp_path / "out.csv", tmp_path / "p.csv"
    assert lab("predict", folder, "--model", model, "--out", out, "--probabilities", side, "-b", "5").code == 0
    session = Session(model, "cpu")
    files = [folder / row[0] for row in rows(out)[1:]]
    expected = session.run(np.stack([read_window(str(file), session.card.pixels) for file in files]))[1]
    got = np.array([[float(cell) for cell in row[1:]] for row in rows(side)[1:]], dtype=np.float32)
    assert rows(side)[0] == ["ID", "0", "1"]
    assert got.tobytes() == expected.tobytes()  # no digit is lost in the text
    assert [row[1] for row in rows(out)[1:]] == [str(k) for k in expected.argmax(1)]


@pytest.mark.parametrize("batch", ["1", "7", "64"])
def test_the_csv_is_the_same_bytes_for_any_batch_size(
    lab: Callable, model: Path, tmp_path: Path, folder: Path, batch: str
) -> None:
    side = tmp_path / "p.csv"
    for size in ("12", batch):
        lab("predict", folder, "--model", model, "--out", tmp_path / "o.csv", "--probabilities", side, "-b", size)
        side.rename(tmp_path / f"{size}.csv")
    assert (tmp_path / "12.csv").read_bytes() == (tmp_path / f"{batch}.csv").read_bytes()


def test_header_ids_and_order_follow_the_sample_beside_the_input(
    lab: Callable, model: Path, tmp_path: Path, cells: Path
) -> None:
    data = shutil.copytree(cells, tmp_path / "cells")
    sample = rows(data / "sample_submission.csv")
    ids = [row[0] for row in sample[1:]][::-1]
    (data / "sample_submission.csv").write_text("image_id,diagnosis\n" + "".join(f"{name},0\n" for name in ids))
    for source in (data / "test", data / "resnet_50_test.csv"):
        ran = lab("predict", source, "--model", model, "--out", tmp_path / "out.csv")
        assert ran.code == 0, ran.err
        assert rows(tmp_path / "out.csv")[0] == ["image_id", "diagnosis"]
        assert [row[0] for row in rows(tmp_path / "out.csv")[1:]] == ids
    lab("predict", data / "test", "--model", model, "--out", tmp_path / "plain.csv", "--no-sample")
    assert rows(tmp_path / "plain.csv")[0] == ["ID", "label"]


def test_a_sample_with_a_column_per_class_gets_probabilities(
    lab: Callable, model: Path, tmp_path: Path, folder: Path
) -> None:
    names = sorted(path.stem for path in folder.iterdir())
    sample = tmp_path / "sample.csv"
    sample.write_text("id,blast,normal\n" + "".join(f"{name},0,0\n" for name in names))
    out, side = tmp_path / "out.csv", tmp_path / "p.csv"
    assert lab("predict", folder, "--model", model, "--out", out, "--sample", sample, "--probabilities", side).code == 0
    assert rows(out)[0] == ["id", "blast", "normal"]
    assert [row[1:] for row in rows(out)[1:]] == [row[:0:-1] for row in rows(side)[1:]]


def test_truth_from_class_folders_makes_a_report_beside_the_csv(
    lab: Callable, model: Path, tmp_path: Path, cells: Path
) -> None:
    for path, label in rows(cells / "test_labels.csv")[1:]:
        target = tmp_path / "in" / ("blast" if label == "1" else "normal") / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(cells / path, target)
    ran = lab("predict", tmp_path / "in", "--model", model, "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "out.report" / "report.json").read_text())
    truth = {Path(path).name: label for path, label in rows(cells / "test_labels.csv")[1:]}
    right = sum(truth[Path(name).name] == label for name, label in rows(tmp_path / "out.csv")[1:])
    assert report["accuracy"]["value"] == right / 12
    assert "truth ↓  prediction →" in ran.out


def test_truth_from_a_file_and_from_a_label_column_give_the_same_report(
    lab: Callable, model: Path, tmp_path: Path, cells: Path, folder: Path
) -> None:
    truth = cells / "test_labels.csv"
    lab("predict", folder, "--model", model, "--out", tmp_path / "a.csv", "--truth", truth)
    lab("predict", truth, "--model", model, "--out", tmp_path / "b.csv")
    first, second = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("a.report", "b.report"))
    assert first["confusion"] == second["confusion"]


@pytest.fixture
def damaged(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[2]).write_bytes((folder / names[2]).read_bytes()[:3000])
    (folder / names[7]).write_bytes(b"no image")
    return [names[2], names[7]]


def test_bad_images_fail_by_default_with_all_of_them_named_and_nothing_written(
    lab: Callable, model: Path, tmp_path: Path, folder: Path, damaged: list[str]
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("from before")
    ran = lab("predict", folder, "--model", model, "--out", out, "--probabilities", tmp_path / "p.csv")
    assert ran.code == 1
    assert "2 of 12 images" in ran.err
    assert all(name in ran.err for name in damaged)
    assert "--bad-images skip or guess" in ran.err
    assert out.read_text() == "from before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out.csv"]


def test_bad_images_can_be_skipped_and_are_listed(
    lab: Callable, model: Path, tmp_path: Path, folder: Path, damaged: list[str]
) -> None:
    ran = lab("predict", folder, "--model", model, "--out", tmp_path / "out.csv", "--bad-images", "skip")
    assert ran.code == 0
    assert len(rows(tmp_path / "out.csv")) == 11
    assert [row[0] for row in rows(tmp_path / "out.bad.csv")[1:]] == damaged
    assert "10 rows" in ran.out


def test_bad_images_can_be_guessed_as_the_most_frequent_training_class_and_are_listed(
    lab: Callable, model: Path, tmp_path: Path, folder: Path, damaged: list[str]
) -> None:
    assert read_card(model).provenance["data"]["train"] == [8, 16]
    lab("predict", folder, "--model", model, "--out", tmp_path / "out.csv", "--bad-images", "guess")
    labels = dict(rows(tmp_path / "out.csv")[1:])
    assert len(labels) == 12
    assert [labels[name] for name in damaged] == ["1", "1"]
    assert [row[0] for row in rows(tmp_path / "out.bad.csv")[1:]] == damaged


def test_a_list_of_bad_images_from_an_earlier_prediction_is_deleted(
    lab: Callable, model: Path, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "out.bad.csv").write_text("old")
    lab("predict", folder, "--model", model, "--out", tmp_path / "out.csv")
    assert not (tmp_path / "out.bad.csv").exists()


@pytest.mark.parametrize("policy", ["skip", "guess"])
def test_no_readable_image_at_all_is_an_error_under_every_policy(
    lab: Callable, model: Path, tmp_path: Path, policy: str
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(b"no image")
    ran = lab("predict", tmp_path / "in", "--model", model, "--out", tmp_path / "o.csv", "--bad-images", policy)
    assert ran.code == 1
    assert "none of the 2 images can be read" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_report_of_an_earlier_prediction_is_deleted_with_its_csv(
    lab: Callable, model: Path, tmp_path: Path, cells: Path, folder: Path
) -> None:
    arguments = ("predict", folder, "--model", model, "--out", tmp_path / "out.csv")
    lab(*arguments, "--truth", cells / "test_labels.csv")
    assert (tmp_path / "out.report" / "report.json").exists()
    lab(*arguments)
    assert not list((tmp_path / "out.report").iterdir())


def test_a_sample_submission_as_input_is_not_taken_for_truth(
    lab: Callable, model: Path, tmp_path: Path, cells: Path
) -> None:
    ran = lab("predict", cells / "sample_submission.csv", "--model", model, "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    assert not (tmp_path / "out.report").exists()


def test_an_output_that_is_one_of_the_images_is_refused_and_the_image_stays(
    lab: Callable, model: Path, folder: Path
) -> None:
    image = sorted(folder.iterdir())[0]
    before = image.read_bytes()
    for option in ("--out", "--probabilities"):
        ran = lab("predict", folder, "--model", model, option, image)
        assert ran.code == 2
        assert f"error: {option} must end in .csv" in ran.err
        assert ran.err.count("\n") == 1
    assert image.read_bytes() == before


def test_a_label_column_of_another_data_set_makes_no_report_and_is_reported(
    lab: Callable, model: Path, tmp_path: Path, folder: Path
) -> None:
    names = sorted(path.name for path in folder.iterdir())
    (folder / "grades.csv").write_text("Path,label\n" + "".join(f"{name},4\n" for name in names))
    ran = lab("predict", folder / "grades.csv", "--model", model, "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    assert "no report: column label has the labels 4, which the model does not know" in ran.out
    ran = lab("predict", folder, "--model", model, "--out", tmp_path / "out.csv", "--truth", folder / "grades.csv")
    assert ran.code == 1  # with --truth it is an error


def test_the_csv_is_written_even_if_the_reader_of_the_screen_has_gone(
    model: Path, tmp_path: Path, folder: Path
) -> None:
    command = [sys.executable, "-m", "cli", "predict", folder, "--model", model, "--out", tmp_path / "out.csv"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.stderr == ""
    assert len(rows(tmp_path / "out.csv")) == 13


def test_unusual_names_are_written_and_shown_as_they_are(
    lab: Callable, model: Path, tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    names = ["[/x].png", "[blue]x[/blue].png", 'q"uote,comma.png']
    for name in names:
        save_image(tmp_path / "in" / name)
    assert lab("predict", tmp_path / "in", "--model", model, "--out", tmp_path / "out.csv").code == 0
    assert sorted(row[0] for row in rows(tmp_path / "out.csv")[1:]) == sorted(names)
    (tmp_path / "in" / "[/x].png").write_bytes(b"")
    assert "[/x].png" in lab("predict", tmp_path / "in", "--model", model, "--out", tmp_path / "out.csv").err


def test_one_image_can_be_predicted(lab: Callable, model: Path, tmp_path: Path, folder: Path) -> None:
    image = next(folder.iterdir())
    assert lab("predict", image, "--model", model, "--out", tmp_path / "out.csv").code == 0
    assert rows(tmp_path / "out.csv")[1][0] == image.name


def test_an_out_that_cannot_be_written_is_one_line(lab: Callable, model: Path, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = lab("predict", folder, "--model", model, "--out", tmp_path / "file" / "out.csv")
    assert ran.code == 1
    assert "cannot write" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_and_leaves_no_draft(
    lab: Callable, model: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def on_full_disk(path: Path, *args: object, **kwargs: object) -> object:
        written = path.suffix == ".csv" and "w" in args
        return real(Path("/dev/full") if written else path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", on_full_disk)
    monkeypatch.setattr("infer.core.drafts._open_unnamed", lambda folder: None)  # so that the draft has a suffix
    ran = lab("predict", folder, "--model", model, "--out", tmp_path / "out.csv")
    assert ran.code == 1
    assert "the disk is full" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


WITHOUT_TRAINING_PACKAGES = """
import sys
class Missing:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnx", "onnxscript", "safetensors"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
import cli
cli.main(sys.argv[1:])
"""


def test_prediction_and_its_report_need_none_of_the_training_packages(
    model: Path, tmp_path: Path, cells: Path, folder: Path
) -> None:
    arguments = [
        "predict",
        folder,
        "--model",
        model,
        "--out",
        tmp_path / "out.csv",
        "--truth",
        cells / "test_labels.csv",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING_PACKAGES, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "out.csv")) == 13
    assert (tmp_path / "out.report" / "report.json").is_file()


@pytest.mark.gpu
def test_cuda_predicts_without_torch(model: Path, tmp_path: Path, folder: Path) -> None:
    arguments = ["predict", folder, "--model", model, "--out", tmp_path / "out.csv", "--device", "cuda"]
    command = [sys.executable, "-c", WITHOUT_TRAINING_PACKAGES, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CUDAExecutionProvider" in done.stdout


def test_uncertain_and_guessed_images_are_marked_and_counted(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(cells / "test", tmp_path / "in")
    (folder / "bad.png").write_bytes(b"no image")
    all_classes, out = tmp_path / "all.csv", tmp_path / "out.csv"
    arguments = ("--model", model, "--no-sample", "--out", out, "--bad-images", "guess", "--probabilities", all_classes)
    assert lab("predict", folder, *arguments).code == 0
    best = {row[0]: max(map(float, row[1:])) for row in csv.reader(all_classes.open()) if row[0] != "ID"}
    limit = sorted(best.values())[5]
    ran = lab("predict", folder, *arguments, "--min-confidence", f"{limit:.9f}")
    assert ran.code == 0, ran.err
    marks = {row["ID"]: row["reject"] for row in csv.DictReader(out.open())}
    expected = {name: str(int(name == "bad.png" or value < limit)) for name, value in best.items()}
    assert sum(marks[name] != expected[name] for name in marks) <= 1  # the one at the limit, by its rounding
    assert f"reject: {sum(map(int, marks.values()))} of 13 images" in ran.out


def test_probabilities_go_to_parquet_or_as_the_most_probable_labels(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    arguments = ("predict", cells / "test", "--model", model, "--no-sample", "--out", tmp_path / "o.csv")
    assert lab(*arguments, "--probabilities", tmp_path / "p.csv").code == 0
    assert lab(*arguments, "--probabilities", tmp_path / "p.parquet").code == 0
    assert lab(*arguments, "--probabilities", tmp_path / "top.csv", "--top-k", "1").code == 0
    header, *rows = csv.reader((tmp_path / "p.csv").open())
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == header
    assert [str(np.float32(value)) for value in table[header[1]].to_pylist()] == [row[1] for row in rows]
    labels = {row["ID"]: row["label"] for row in csv.DictReader((tmp_path / "o.csv").open())}
    for row in csv.DictReader((tmp_path / "top.csv").open()):
        assert row["label_1"] == labels[row["ID"]]
    ran = lab(*arguments, "--probabilities", tmp_path / "top.csv", "--top-k", "3")
    assert (ran.code, "the model has 2 classes" in ran.err) == (2, True)
    ran = lab(*arguments, "--top-k", "1")
    assert (ran.code, "--probabilities" in ran.err) == (2, True)


def test_parquet_without_its_package_is_refused_before_any_work(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    ran = lab("predict", cells / "test", "--model", model, "--probabilities", tmp_path / "p.parquet")
    assert ran.code == 1
    assert "pip install '.[parquet]'" in ran.err
    assert ran.out == ""


def test_json_has_the_csv_and_where_the_truth_is_known_the_report(
    lab: Callable, model: Path, tmp_path: Path, cells: Path, folder: Path
) -> None:
    out, patients = tmp_path / "a.csv", tmp_path / "t.csv"
    lines = rows(cells / "test_labels.csv")
    patients.write_text(
        "".join(",".join([*row, "patient" if k == 0 else f"p{k % 5}"]) + "\n" for k, row in enumerate(lines))
    )
    ran = lab("predict", folder, "--model", model, "--no-sample", "--out", out, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == {"csv": str(out), "rows": 12, "unreadable": []}
    ran = lab("predict", folder, "--model", model, "--no-sample", "--out", out, "--truth", patients, "--json")
    values = json.loads(ran.out)
    assert (values["rows"], values["images"], values["groups"]) == (12, 12, 5)
    saved = json.loads((tmp_path / "a.report" / "report.json").read_text())
    assert {name: values[name] for name in saved} == saved
    assert "12 rows" in ran.err
    lab("predict", folder, "--model", model, "--no-sample", "--out", out)
    assert not list((tmp_path / "a.report").iterdir())


def test_a_file_that_is_read_but_not_named_is_never_overwritten(
    lab: Callable, run: Path, model: Path, cells: Path, tmp_path: Path
) -> None:
    own = tmp_path / "run"
    own.mkdir()
    shutil.copy(model, own / "model.onnx")
    data = shutil.copytree(cells, tmp_path / "cells")
    (data / "test_img.csv").write_text("".join(f"test/{path.name}\n" for path in sorted((data / "test").iterdir())))
    (data / "test_label.csv").write_text("0\n" * len(list((data / "test").iterdir())))
    for source, out, message in (
        (data / "test", own / "model.onnx", "--out must end in .csv"),
        (data / "test", data / "sample_submission.csv", "is read and would be overwritten"),
        (data / "test", Path(f"file://{data}/sample_submission.csv"), "is read and would be overwritten"),
        (data / "test_img.csv", data / "test_label.csv", "is read and would be overwritten"),
    ):
        file = local_file(out)
        before = file.read_bytes()
        ran = lab("predict", source, "--model", own, "--out", out)
        assert ran.code == 2
        assert message in ran.err
        assert file.read_bytes() == before


@pytest.mark.parametrize("option", ["--probabilities", "--truth", "--sample"])
def test_a_file_of_the_report_is_no_other_file_of_the_prediction(
    option: str, lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    named = tmp_path / "a.report" / "predictions.csv"
    named.parent.mkdir()
    shutil.copy(cells / "test_labels.csv", named)
    ran = lab("predict", cells / "test", "--model", model, option, named, "--out", tmp_path / "a.csv")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"{option} {named} is a file of the report that --out has beside it; give another name" in ran.err
    assert named.read_bytes() == (cells / "test_labels.csv").read_bytes()


def test_a_csv_whose_files_are_those_of_one_with_another_suffix_is_refused(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    command = ("predict", cells / "test", "--model", model, "--no-sample", "--no-pictures")
    assert lab(*command, "--truth", cells / "test_labels.csv", "--out", tmp_path / "a.csv").code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("a.txt", "a"):
        ran = lab(*command, "--out", tmp_path / name)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "would replace a.prediction.json, which is of a.csv, and its report" in ran.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert lab(*command, "--out", tmp_path / "a.csv").code == 0
    (tmp_path / "a.csv").unlink()
    assert lab(*command, "--out", tmp_path / "a.txt").code == 0


def test_a_model_given_as_a_file_and_by_its_folder_is_not_averaged_with_itself(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    shutil.copy(model, tmp_path / "model.onnx")
    models = ("-m", tmp_path, "-m", tmp_path / "model.onnx")
    ran = lab("predict", cells / "test", *models, "--out", tmp_path / "o.csv")
    assert ran.code == 2
    assert "names one file twice" in ran.err


def test_the_report_counts_no_guesses_and_says_how_many_images_it_leaves_out(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(cells / "test", tmp_path / "in")
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[0]).write_bytes(b"no image")
    (tmp_path / "t.csv").write_text("Path,label\n" + "".join(f"{name},0\n" for name in names))
    command = ("predict", folder, "--model", model, "--truth", tmp_path / "t.csv", "--no-sample", "--no-pictures")
    ran = lab(*command, "--out", tmp_path / "o.csv", "--bad-images", "guess")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "o.report" / "report.json").read_text())
    assert report["images"] == len(names) - 1
    assert f"1 of {len(names)} images could not be read and are left out of all numbers" in report["notes"]


@pytest.mark.parametrize("more", [(), ("--restart",)])
def test_a_prediction_beside_one_that_writes_the_same_files_is_refused_and_takes_nothing_from_it(
    more: tuple[str, ...], lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    out, progress = tmp_path / "s.csv", tmp_path / "s.progress"
    progress.write_bytes(b"of the first one\n")
    command = ("predict", cells / "test", "--model", model)
    with exclusive(progress, out):
        ran = lab(*command, "--out", out, *more)
        assert ran.code == 1
        assert re.search(r"is writing .*s\.progress; wait for it, or give another --out", ran.err)
        assert lab(*command, "--out", tmp_path / "other.csv", *more).code == 0
    with exclusive(tmp_path / "p.csv"):
        assert lab(*command, "--out", tmp_path / "third.csv", "--probabilities", tmp_path / "p.csv").code == 1
    assert progress.read_bytes() == b"of the first one\n"
    assert not out.exists()


def test_csv_and_report_are_those_of_one_prediction_where_the_report_cannot_be_written(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("predict", cells / "test", "--model", model, "--truth", cells / "test_labels.csv", "--no-pictures")
    out = ("--out", tmp_path / "s.csv", "--probabilities", tmp_path / "p.csv")
    assert lab(*command, *out).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 5

    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr("infer.reports.report.write_predictions", full)
    assert lab(*command, *out, "--tta", "flips").code == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
