"""The true labels and the patients of the images to predict."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import DataError
from infer.model.card import ClassName
from infer.tables.inputs import Inputs, read_inputs
from infer.tables.labels import find_truth, read_groups, read_truth

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"))


INPUTS = Inputs(Path("in"), ["x/a.jpg", "b.png"], ["in/x/a.jpg", "in/b.png"])


def test_true_labels_are_read_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("target,age,ID\n1,3,b\n007,4,a.jpg\n1,5,stranger\n")
    assert read_truth(tmp_path / "t.csv", INPUTS) == ["007", "1"]


def test_labels_of_a_single_column_are_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("007\n1\n")
    assert read_truth(tmp_path / "t.csv", INPUTS) == ["007", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv has no columns; its first line must name a column Path and a column label"),
        ("a,b\nc,d\n", r"t\.csv has the columns a, b; its first line must name a column Path and a column label"),
        ("Path,label\nb,1\n", r"t\.csv has no label for 1 of the images: x/a\.jpg; add them"),
        ("Path,label\nb,1\na,1\nb,007\n", r"t\.csv gives b two different labels; keep the right one"),
        ("1\n", r"t\.csv has 1 labels for the 2 images"),
        ("Path,label\na,007\nb\n", r"t\.csv has rows with fewer values"),
    ],
)
def test_a_truth_file_that_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_truth(tmp_path / "t.csv", INPUTS)


def test_a_truth_file_whose_id_fits_two_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Path,label\na,1\n")
    inputs = Inputs(Path("in"), ["x/a.jpg", "y/a.jpg"], ["", ""])
    with pytest.raises(DataError, match=r"t\.csv: a fits several images: x/a\.jpg, y/a\.jpg; write the relative path"):
        read_truth(tmp_path / "t.csv", inputs)


def test_a_missing_truth_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        read_truth(tmp_path / "none.csv", INPUTS)


def test_the_truth_file_comes_before_the_labels_of_the_input(tmp_path: Path, heard: tuple[Screen, io.StringIO]) -> None:
    (tmp_path / "t.csv").write_text("Path,label\nb,1\na,007\n")
    inputs = replace(INPUTS, labels=["blast", "007"], labels_from="column label")
    config = PredictConfig(source=Path("in"))
    screen, text = heard
    for given, expected in ((config, [1, 0]), (replace(config, truth=tmp_path / "t.csv"), [0, 1])):
        truth = find_truth(given, inputs, CLASSES, screen)
        assert truth is not None
        assert truth.tolist() == expected
    assert find_truth(config, INPUTS, CLASSES, screen) is None
    assert text.getvalue() == ""
    assert find_truth(config, replace(inputs, labels=["blast", "x"]), CLASSES, screen) is None
    assert text.getvalue() == "no report: column label has the labels x, which the model does not know\n"


@pytest.mark.parametrize("column", ["patient", "Group"])
def test_patients_are_read_from_the_input_or_from_the_truth(
    tmp_path: Path, save_image: Callable[..., Path], column: str
) -> None:
    for name in "abc":
        save_image(tmp_path / f"{name}.png")
    (tmp_path / "in.csv").write_text(f"Path,{column}\nb.png,p1\na.png,\nc.png,p2\n")
    (tmp_path / "t.csv").write_text(f"Path,label,{column}\na.png,0,q1\nb.png,1,q2\nc,0,q1\n")
    (tmp_path / "plain.csv").write_text("Path,label\na.png,0\nb.png,1\nc,0\n")
    inputs = read_inputs(tmp_path / "in.csv", CLASSES)
    assert inputs.groups == ["p1", "", "p2"]
    assert read_groups(tmp_path / "t.csv", inputs) == ["q2", "q1", "q1"]
    assert read_groups(tmp_path / "plain.csv", inputs) == inputs.groups
    assert read_inputs(tmp_path / "plain.csv", CLASSES).groups == []


def test_an_image_of_two_patients_is_refused(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    save_image(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("Path,label,patient\na,0,p\na.png,0,q\n")
    with pytest.raises(DataError, match=r"gives a\.png two different patients; keep the right one"):
        read_groups(tmp_path / "t.csv", read_inputs(tmp_path, CLASSES))
