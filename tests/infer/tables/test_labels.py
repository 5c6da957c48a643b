"""The truth and the patients of what is predicted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.model.card import ClassName
from infer.tables.image_names import NameMatcher
from infer.tables.inputs import Inputs, read_inputs
from infer.tables.labels import read_groups, read_truth

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"))


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        ("x/a.jpg", [0]),
        ("a.jpg", [0, 1]),
        ("y/a.jpg", [1]),
        ("b.png", [2]),
        ("b", [2]),
        ("c.v1", [3]),
        ("other/b.png", [2]),
        ("d.v1.jpg", [4]),
        ("zzz", []),
    ],
)
def test_an_id_means_a_relative_path_then_a_name_then_a_stem(wanted: str, positions: list[int]) -> None:
    assert NameMatcher(["x/a.jpg", "y/a.jpg", "b.png", "deep/c.v1.png", "d.v1"]).find(wanted) == positions


def test_a_whole_name_wins_over_a_stem() -> None:
    assert NameMatcher(["a.jpg", "a"]).find("a") == [1]
    assert NameMatcher(["x/a", "a.png"]).find("a") == [0]


INPUTS = Inputs(Path("in"), ["x/a.jpg", "b.png"], ["in/x/a.jpg", "in/b.png"])


def test_the_truth_is_brought_into_the_inputs_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("target,age,ID\n1,3,b\n007,4,a.jpg\n1,5,stranger\n")
    assert read_truth(tmp_path / "t.csv", INPUTS) == ["007", "1"]


def test_truth_of_one_column_is_in_the_inputs_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("007\n1\n")
    assert read_truth(tmp_path / "t.csv", INPUTS) == ["007", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv holds nothing; its first line must name a Path and a label column"),
        ("a,b\nc,d\n", r"t\.csv holds a, b; its first line must name a Path and a label column"),
        ("Path,label\nb,1\n", r"t\.csv has no label for 1 of the images: x/a\.jpg; add them"),
        ("Path,label\nb,1\na,1\nb,007\n", r"t\.csv gives b two labels; keep the right one"),
        ("1\n", r"t\.csv has 1 labels for the 2 images"),
        ("Path,label\na,007\nb\n", r"t\.csv has rows with fewer values"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_truth(tmp_path / "t.csv", INPUTS)


def test_a_truth_whose_id_fits_two_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Path,label\na,1\n")
    inputs = Inputs(Path("in"), ["x/a.jpg", "y/a.jpg"], ["", ""])
    with pytest.raises(DataError, match=r"t\.csv: a may be x/a\.jpg, y/a\.jpg; write the relative path"):
        read_truth(tmp_path / "t.csv", inputs)


def test_a_missing_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        read_truth(tmp_path / "none.csv", INPUTS)


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
    with pytest.raises(DataError, match=r"gives a\.png two patients; keep the right one"):
        read_groups(tmp_path / "t.csv", read_inputs(tmp_path, CLASSES))
