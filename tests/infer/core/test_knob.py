import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from infer.core.errors import ConfigError
from infer.core.knob import Knob, check, from_toml, knob, knobs, option, tables


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One knob of each kind."""

    plain: int = 1
    count: int = knob(1, "Whole.", panel="p", above=0)
    share: float = knob(0.5, "Share.", panel="p", minimum=0, below=1)
    side: int | None = knob(None, "Side.", panel="p", minimum=32, maximum=2048, default_text="what suits")
    rates: tuple[float, ...] = knob((), "Rates.", panel="p", above=0, below=1)
    names: tuple[str, ...] = knob((), "Names.", panel="p")
    text: str = knob("", "Text.", panel="p")
    switch: bool = knob(False, "Switch.", panel="p")
    kind: Literal["one", "two"] = knob("one", "Kind.", panel="p")
    free: float = knob(0.0, "Any number.", panel="p")
    path: Path | None = knob(None, "A path.")
    maybe: Literal["one", "two"] | None = knob(None, "Kind, or none.")

    def __post_init__(self) -> None:
        check(self, Settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 0, "--count must be above 0, got 0"),
        ("path", Path("a\0b"), "--path must be free of NUL characters"),
        ("names", ("a", "b\0"), "--names must be free of NUL characters"),
        ("text", "\0", "--text must be free of NUL characters"),
        ("count", 1.0, "--count must be a whole number, got 1.0"),
        ("count", True, "--count must be a whole number, got True"),
        ("count", "1", "--count must be a whole number, got 1"),
        ("count", None, "--count must be a whole number, got None"),
        ("count", -(10**400), "--count must be above 0"),
        ("share", 1.0, "--share must be at least 0 and below 1, got 1.0"),
        ("share", -0.1, "--share must be at least 0 and below 1, got -0.1"),
        ("share", math.nan, "--share must be at least 0 and below 1, got nan"),
        ("share", False, "--share must be a number, got False"),
        ("share", 10**400, "--share must be at least 0 and below 1"),
        ("side", 31, "--side must be from 32 to 2048, got 31"),
        ("side", 2049, "--side must be from 32 to 2048, got 2049"),
        ("rates", (0.5, 1.0), "--rates must be above 0 and below 1, got 1.0"),
        ("rates", [0.5], r"--rates must be a list, got \[0.5\]"),
        ("rates", 0.5, "--rates must be a list, got 0.5"),
        ("rates", ("half",), "--rates must be a number, got half"),
        ("path", "a", "--path must be a path, got a"),
        ("maybe", "three", "--maybe must be one of one, two, got three"),
        ("names", "abc", "--names must be a list, got abc"),
        ("names", (1,), "--names must be text, got 1"),
        ("text", 1, "--text must be text, got 1"),
        ("switch", 1, "--switch must be true or false, got 1"),
        ("switch", None, "--switch must be true or false, got None"),
        ("kind", "three", "--kind must be one of one, two, got three"),
        ("kind", [], r"--kind must be one of one, two, got \[\]"),
        ("free", math.inf, "--free must be finite, got inf"),
        ("free", -math.inf, "--free must be finite, got -inf"),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_refused_by_its_options_name(
    name: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        Settings(**{name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 10**400),
        ("share", 0),
        ("side", 32),
        ("side", 2048),
        ("side", None),
        ("rates", ()),
        ("rates", (0.1, 0.9)),
        ("names", ("", "x")),
        ("kind", "two"),
        ("free", -1e308),
        ("plain", "never looked at"),
    ],
)
def test_values_in_range_and_fields_that_are_not_knobs_are_accepted(name: str, value: Any) -> None:
    assert getattr(Settings(**{name: value}), name) == value


def test_knobs_are_the_fields_that_were_declared_as_such_with_types_and_defaults() -> None:
    found = knobs(Settings)
    names = ("count", "share", "side", "rates", "names", "text", "switch", "kind", "free", "path", "maybe")
    assert tuple(found) == names
    side, kind, default = found["side"]
    assert (side.help, side.panel, side.default_text, kind, default) == ("Side.", "p", "what suits", int | None, None)


def test_a_range_is_described_in_words() -> None:
    def text(**limits: float) -> str:
        return Knob(help="", panel="", **limits).range()

    assert text() == "finite"
    assert text(minimum=0.001) == "at least 0.001"
    assert text(above=0, maximum=2) == "above 0 and at most 2"
    assert text(minimum=0, maximum=2**32 - 1) == "from 0 to 4294967295"


def test_an_options_name_has_hyphens() -> None:
    assert option("batch_size") == "--batch-size"


def test_toml_values_become_tuples_and_floats_where_the_field_is_one() -> None:
    read = from_toml(Settings, {"rates": [1, 0.5], "share": 1, "count": 1, "names": "a", "free": 10**400, "else": [1]})
    assert read == {"rates": (1.0, 0.5), "share": 1.0, "count": 1, "names": ("a",), "free": math.inf, "else": [1]}
    assert isinstance(read["share"], float)
    assert isinstance(read["count"], int)


def test_from_toml_leaves_what_is_not_a_number_to_the_check() -> None:
    assert from_toml(Settings, {"share": True, "free": "x"}) == {"share": True, "free": "x"}
    assert from_toml(Settings, {"free": -(10**400)}) == {"free": -math.inf}


def test_tables_are_a_list_of_tables_or_nothing() -> None:
    assert tables({}, "stages") == []
    assert tables({"stages": [{"a": 1}, {}]}, "stages") == [{"a": 1}, {}]
    for wrong in (3, [3], {"epochs": 3}, "ab", [{"a": 1}, "b"]):
        with pytest.raises(ConfigError, match=r"^stages must be tables, each headed \[\[stages\]\], got "):
            tables({"stages": wrong}, "stages")
