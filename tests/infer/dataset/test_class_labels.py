import pytest

from infer.core.errors import DataError
from infer.dataset.class_labels import sorted_labels, to_indices, unknown_labels
from infer.model.card import ClassName

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"))


def test_labels_and_names_become_indices_and_unknown_ones_are_refused() -> None:
    assert to_indices(["1", "007", "normal", "blast"], CLASSES, "t.csv") == [1, 0, 0, 1]
    with pytest.raises(
        DataError, match=r"t\.csv has the labels 7, x, but the model has 007 normal, 1 blast; use the mod"
    ):
        to_indices(["x", "1", "7"], CLASSES, "t.csv")


def test_unknown_labels_are_listed_once_and_an_empty_one_is_named() -> None:
    assert unknown_labels(["x", "1", "", "x", "blast"], CLASSES) == ["(empty)", "x"]
    assert unknown_labels(["007", "normal"], CLASSES) == []


@pytest.mark.parametrize(
    "ordered",
    [
        ["0", "1", "2", "10"],
        ["007", "08", "9"],
        ["-10", "-1", "0", "1"],
        ["0.25", "0.5", "1"],
        ["grade 2", "grade 10"],
        ["cat", "dog"],
        ["0", "1", "unknown"],
    ],
)
def test_numeric_labels_are_ordered_by_value_and_others_naturally(ordered: list[str]) -> None:
    assert sorted_labels(set(ordered)) == ordered
