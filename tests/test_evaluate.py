"""`lab evaluate`: which images, which split, and the same numbers as counting by hand."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infer.errors import ConfigError
from infer.evaluate import EvaluateConfig


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def copied(run: Path, model: Path, tmp_path: Path) -> Path:
    """The run with its model, free to be written to."""
    return shutil.copytree(run, tmp_path / "run")


def test_without_data_it_takes_the_runs_own_validation_images(lab: Callable, copied: Path) -> None:
    ran = lab("evaluate", "--model", copied, "--normalize", "true")
    assert ran.code == 0, ran.err
    own = report(copied / "report-cells-valid")
    assert own["images"] == 12
    assert own["accuracy"] == report(copied / "report")["accuracy"]  # what training saw in its best epoch
    assert "shares of each row" in ran.out


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


def test_images_that_the_network_may_have_trained_on_are_told(lab: Callable, copied: Path, cells: Path) -> None:
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
    assert "1 images cannot be read" in ran.out
    assert victim in ran.out
    assert report(tmp_path / "out")["images"] == 11


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"split": "all"}])
def test_values_that_make_no_sense_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError):
        EvaluateConfig(**options)
