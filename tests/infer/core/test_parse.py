import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from infer.core.parse import MOST_LEVELS, is_whole, parse_json, parse_toml


@pytest.mark.parametrize("text", ['{"a": [1, {"b": null}], "é": 1e5}', "[]", "3", '"x"'])
def test_json_is_what_pythons_reader_gives(text: str) -> None:
    assert parse_json(text) == json.loads(text)
    assert parse_json(text.encode()) == json.loads(text)


def test_toml_is_what_pythons_reader_gives() -> None:
    text = 'a = [1, 2]\n[b.c]\nd = "é"\n[[e]]\nf = 1979-05-27\n'
    assert parse_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("count", [MOST_LEVELS + 1, 100_000])
@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_json, lambda count: "[" * count + "]" * count),
        (parse_json, lambda count: '{"a":' * count + "1" + "}" * count),
        (parse_json, lambda count: '[{"a":' * count),
        (parse_toml, lambda count: "a = " + "[" * count + "]" * count),
        (parse_toml, lambda count: "a = " + "{b = " * count + "1" + "}" * count),
    ],
)
def test_a_text_with_too_many_levels_is_a_value_error(
    parse: Callable[[str], Any], text: Callable[[int], str], count: int
) -> None:
    with pytest.raises(ValueError, match=r"inside each other|Expecting|[Uu]nexpected|Unclosed"):
        parse(text(count))


def test_as_many_levels_as_are_allowed_are_read() -> None:
    text = "[" * MOST_LEVELS + "1" + "]" * MOST_LEVELS
    assert parse_json(text) == json.loads(text)
    assert parse_toml(f"a = {text[1:-1]}") == {"a": json.loads(text[1:-1])}


def test_true_and_false_and_fractions_are_no_whole_numbers() -> None:
    values = parse_json('[0, -3, 100000000000000000000, true, false, 1.0, "1", null, [1]]')
    assert [value for value in values if is_whole(value)] == [0, -3, 10**20]
