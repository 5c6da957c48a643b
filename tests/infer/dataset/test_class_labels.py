import pytest

from infer.core.errors import DataError
from infer.dataset.class_labels import (
    describe_lookalikes,
    is_text,
    lookalikes,
    missing_values,
    sorted_labels,
    to_indices,
    unknown_labels,
)
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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Mild", "mild"),
        ("STRASSE", "straße"),
        ("1", "1.0"),
        ("007", "7"),
        ("1e3", "1000"),
        ("mild dry", "mild  dry"),
        ("mild dry", "mild_dry"),
        (" mild", "mild"),
        ("mild", "mild\u00a0"),
        ("mild", "mi\u200bld"),
        ("mild", '"mild"'),
        ("Ménière", "Me\u0301nie\u0300re"),
        ("\u00b5m", "\u03bcm"),
    ],
)
def test_labels_that_differ_only_in_how_they_are_written_look_alike(first: str, second: str) -> None:
    assert lookalikes([first, "other", second, first]) == [sorted([first, second])]


@pytest.mark.parametrize(
    ("first", "second"),
    [("A+", "A-"), ("1", "-1"), ("1", "10"), ("mild", "milder"), ("0", "O"), ("caf\udce9", "caf"), ("nan", "inf")],
)
def test_labels_that_differ_in_more_do_not_look_alike(first: str, second: str) -> None:
    assert lookalikes([first, second]) == []


def test_lookalikes_are_named_with_the_characters_that_differ() -> None:
    text = describe_lookalikes(lookalikes(["caf\u00e9", "cafe\u0301", "1", "01"]))
    assert text == "'cafe\\u0301' and 'caf\\xe9', '01' and '1'"


def test_missing_values_are_found_and_among_numbers_those_that_may_be_names_too() -> None:
    assert missing_values(["NaN", "cat", "none"]) == ["NaN"]
    assert missing_values(["1", "2.5", "None", "N/A"]) == ["N/A", "None"]
    assert missing_values(["cat", "NA"]) == []


def test_bytes_that_are_no_utf_8_are_no_text() -> None:
    assert is_text("Bläschen")
    assert not is_text(b"Bl\xe4schen".decode("utf-8", "surrogateescape"))
