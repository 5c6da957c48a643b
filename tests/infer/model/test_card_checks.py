import math

import pytest

from infer.model.card_checks import check_matrix, check_provenance, check_text, is_number


@pytest.mark.parametrize("value", [0, -3, 1e29, 2.5])
def test_numbers_of_an_ordinary_size_are_numbers(value: object) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", [True, None, "1", [1], math.nan, math.inf, -math.inf, 10**400, -1e31])
def test_all_else_is_none(value: object) -> None:
    assert not is_number(value)


def test_text_and_rows_of_numbers_are_told_from_other_values() -> None:
    check_text("a name", "", "x")
    check_matrix("a row", [[1, 2.5], (0, -1)], 2)
    with pytest.raises(ValueError, match="a name must be text"):
        check_text("a name", "x", 3)
    for rows in ([[1]], [[1, 2], [3, None]], [[1, 2, 3]], ["ab"]):
        with pytest.raises(ValueError, match="a row must have 2 numbers"):
            check_matrix("a row", rows, 2)


@pytest.mark.parametrize(
    "provenance",
    [
        [],
        {"data": None},
        {"versions": ["torch"]},
        {"validation": 0.5},
        {"temperature_fit": "x"},
        {"data": {"train": "ab"}},
        {"data": {"train": [1, "2"]}},
        {"data": {"train": [-1]}},
        {"data": {"train": [3, True]}},
        {"validation": {"accuracy": "high"}},
        {"int8": [7]},
        {"int8": {"weight_bits": "7"}},
        {"validation": {"accuracy": math.nan}},
    ],
)
def test_a_provenance_of_other_types_is_refused(provenance: dict) -> None:
    with pytest.raises(ValueError, match="a card's "):
        check_provenance(provenance)


def test_a_provenance_may_lack_anything_and_have_more() -> None:
    check_provenance({})
    check_provenance({"data": {"train": None, "name": 3}, "validation": {"accuracy": 1, "x": None}, "more": [1]})
