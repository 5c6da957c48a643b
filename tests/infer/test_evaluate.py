"""`lab evaluate`: its images and split, and the same numbers as counting by hand."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infer.reports.files import report_files


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def copied(run: Path, model: Path, tmp_path: Path) -> Path:
    """A copy of the run with its model, which tests may change."""
    return shutil.copytree(run, tmp_path / "run")


def test_without_data_it_takes_the_runs_own_validation_images(lab: Callable, copied: Path) -> None:
    ran = lab("evaluate", "--model", copied, "--normalize", "true")
    assert ran.code == 0, ran.err
    own = report(copied / "report-cells-valid")
    assert own["images"] == 12
    assert own["accuracy"] == report(copied / "report")["accuracy"]  # what training saw in its best epoch
    assert "shares of each row" in ran.out


def test_the_report_has_every_picture_and_a_page_with_the_images_and_the_proof(
    lab: Callable, copied: Path, all_pictures: None
) -> None:
    assert lab("evaluate", "--model", copied, "--heatmaps", "--thumbnails", "1").code == 0
    folder = copied / "report-cells-valid"
    assert {path.name for path in folder.iterdir()} == set(report_files())
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "passed on 12 images (CPU)" in page
    assert "found by covering one part after another" in page
    assert 2 <= page.count("data:image/jpeg") <= 8  # of each class a mistake and an uncertain image, each with its map
    assert page.count("data:image/svg+xml") == 7


def test_without_pictures_there_are_numbers_alone_and_without_thumbnails_no_image(lab: Callable, copied: Path) -> None:
    assert lab("evaluate", "--model", copied, "--thumbnails", "0").code == 0
    page = (copied / "report-cells-valid" / "report.html").read_text(encoding="utf-8")
    assert "because of --thumbnails 0" in page
    assert "data:image/jpeg" not in page
    assert ".jpg" not in page
    assert lab("evaluate", "--model", copied, "--no-pictures").code == 0
    names = {path.name for path in (copied / "report-cells-valid").iterdir()}
    assert names == {"report.json", "predictions.csv"}


def test_heat_maps_without_thumbnails_are_a_usage_error(lab: Callable) -> None:
    ran = lab("evaluate", "--heatmaps", "--thumbnails", "0")
    assert ran.code == 2
    assert ran.err.startswith("error: --heatmaps needs thumbnails")


def test_a_data_folder_and_a_split_can_be_named(lab: Callable, copied: Path, cells: Path, tmp_path: Path) -> None:
    data = shutil.copytree(cells, tmp_path / "mine")
    shutil.copy(data / "test_labels.csv", data / "resnet_18_test.csv")
    out = tmp_path / "out"
    for split, images in (("train", 24), ("valid", 12), ("test", 12)):
        assert lab("evaluate", data, "--model", copied, "--split", split, "--out", out).code == 0
        assert report(out)["images"] == images
    ran = lab("evaluate", data, "--model", copied)
    assert "test split of mine" in ran.out
    lab("predict", data / "test", "--model", copied, "--truth", data / "test_labels.csv", "--out", tmp_path / "p.csv")
    assert report(tmp_path / "p.report")["confusion"] == report(copied / "report-mine-test")["confusion"]


def test_a_labels_table_is_not_replaced_by_the_report(lab: Callable, copied: Path, cells: Path, tmp_path: Path) -> None:
    labels = tmp_path / "predictions.csv"
    shutil.copy(cells / "train.csv", labels)
    given = ("--labels", labels, "--images", cells, "--model", copied, "--out", tmp_path)
    ran = lab("evaluate", *given)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert f"{labels} is read and would be overwritten; give another --out" in ran.err
    assert labels.read_bytes() == (cells / "train.csv").read_bytes()


def test_images_that_the_network_may_have_been_trained_on_are_noted(lab: Callable, copied: Path, cells: Path) -> None:
    assert "very images" in lab("evaluate", cells, "--model", copied, "--split", "train").out


def test_a_split_without_labels_is_an_error(lab: Callable, copied: Path, cells: Path) -> None:
    ran = lab("evaluate", cells, "--model", copied, "--split", "test")
    assert ran.code == 1
    assert "no labelled images in its test split" in ran.err


def test_labels_that_the_model_does_not_know_are_an_error(
    lab: Callable, copied: Path, tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for name in ("cat/1.png", "dog/2.png"):
        save_image(tmp_path / "pets" / name)
    ran = lab("evaluate", tmp_path / "pets", "--model", copied)
    assert ran.code == 1
    assert "cat, dog" in ran.err
    assert "0 normal, 1 blast" in ran.err


def test_unreadable_images_are_left_out_and_named(lab: Callable, copied: Path, cells: Path, tmp_path: Path) -> None:
    data = shutil.copytree(cells, tmp_path / "mine")
    with (data / "valid.csv").open(newline="") as file:
        victim = list(csv.reader(file))[3][0]
    (data / victim).write_bytes(b"no image")
    ran = lab("evaluate", data, "--model", copied, "--split", "valid", "--out", tmp_path / "out")
    assert "1 image cannot be read and is left out" in ran.out
    assert victim in ran.out
    assert report(tmp_path / "out")["images"] == 11


def test_a_test_set_from_elsewhere_needs_no_training_split_and_not_every_class(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path
) -> None:
    images = sorted((cells / "test").iterdir())[:4]
    for image in images:
        target = tmp_path / "elsewhere" / "test" / "1" / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
    ran = lab("evaluate", tmp_path / "elsewhere", "--model", copied, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert [item["support"] for item in report(tmp_path / "out")["per_class"]] == [0, 4]


def test_json_is_alone_on_standard_output(lab: Callable, copied: Path) -> None:
    ran = lab("evaluate", "--model", copied, "--json")
    assert ran.code == 0, ran.err
    values = json.loads(ran.out)
    assert values.pop("report") == str(copied / "report-cells-valid")
    assert values == report(copied / "report-cells-valid")
    assert "balanced accuracy" in ran.err


def test_patients_of_the_data_set_are_resampled_and_counted(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(cells, tmp_path / "mine")
    with (data / "valid.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    rows = [[*header, "patient"], *([*line, f"p{index // 3}"] for index, line in enumerate(lines))]
    (data / "valid.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    out = lab("evaluate", data, "--split", "valid", "--model", copied, "--out", tmp_path / "out").out
    assert "12 images, 4 patients" in out
    assert report(tmp_path / "out")["groups"] == 4
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        assert [row["group"] for row in csv.DictReader(file)][:4] == ["p0", "p0", "p0", "p1"]


def test_images_that_the_model_was_chosen_by_are_noted(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path
) -> None:
    own = lab("evaluate", "--model", copied).out
    assert "note: the best epoch and the threshold were chosen on these very images" in own
    named = lab("evaluate", cells, "--split", "valid", "--model", copied, "--out", tmp_path / "a").out
    assert "note: if the best epoch and the threshold were chosen on these very images" in named
    shutil.copy(cells / "test_labels.csv", tmp_path / "t.csv")
    data = shutil.copytree(cells, tmp_path / "mine")
    shutil.copy(data / "test_labels.csv", data / "resnet_18_test.csv")
    assert "very images" not in lab("evaluate", data, "--model", copied, "--out", tmp_path / "b").out
    assert "the best epoch was chosen on these very images" in str(report(copied / "report")["notes"])
