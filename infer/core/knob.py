"""A knob: one value of a configuration, with all that is to be said of it in one place. Standard library only.

`field: int = knob(0, "what it does", ...)` declares a dataclass field; its check and its option on the command line are
both read from there.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from infer.core.errors import ConfigError

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}


@dataclass(frozen=True, kw_only=True)
class Knob:
    """What a value means and which values make sense."""

    help: str
    panel: str = ""
    """Under which heading the option stands; "" is the first."""
    minimum: float = -math.inf
    above: float = -math.inf
    """The value is larger than this."""
    maximum: float = math.inf
    below: float = math.inf
    """The value is smaller than this."""
    default_text: str = ""
    """The default for people, where it is not simply the value."""
    short: str = ""
    """The option's one-letter form."""
    whole_run: bool = False
    """Whether it is the same for all stages of a run."""
    option: bool = True
    """Whether there is an option for it."""

    def range(self) -> str:
        """For people: `above 0`, `from 0 to 1`, `at least 0 and below 1`."""
        if self.minimum > -math.inf and self.maximum < math.inf:
            return f"from {self.minimum:.12g} to {self.maximum:.12g}"
        limits = ((self.minimum, "at least"), (self.above, "above"), (self.maximum, "at most"), (self.below, "below"))
        return " and ".join(f"{word} {value:.12g}" for value, word in limits if math.isfinite(value)) or "finite"

    def holds(self, value: float) -> bool:
        """Whether a number is finite and in range."""
        finite = isinstance(value, int) or math.isfinite(value)  # a large whole number has no float
        return finite and self.minimum <= value <= self.maximum and self.above < value < self.below


def knob(default: Any, help: str, **more: Any) -> Any:  # noqa: A002  # the field's usual name
    """A dataclass field with a Knob as metadata; `more` are the Knob's fields."""
    return dataclasses.field(default=default, metadata={"knob": Knob(help=help, **more)})


@functools.cache
def knobs(config: type) -> dict[str, tuple[Knob, Any, Any]]:
    """Of every field that is a knob: the Knob, its type and its default."""
    hints = get_type_hints(config)
    found = [item for item in dataclasses.fields(config) if "knob" in item.metadata]
    return {item.name: (item.metadata["knob"], hints[item.name], item.default) for item in found}


def option(name: str) -> str:
    """A field's option: `batch_size` -> `--batch-size`."""
    return f"--{name.replace('_', '-')}"


def check(config: object, kind_of_config: type) -> None:
    """See that every knob that a class of config declares has a value of its type and range. Raises ConfigError."""
    for name, (what, kind, _) in knobs(kind_of_config).items():
        check_value(option(name), what, kind, getattr(config, name))


def check_value(name: str, what: Knob, kind: Any, value: object) -> None:
    """See that one value is of its knob's type and range. Raises ConfigError."""
    if value is None and type(None) in get_args(kind):
        return
    choices = _choices(kind)
    if choices:
        require(value in choices, name, f"one of {', '.join(map(str, choices))}", value)
        return
    several = _is(kind, tuple)
    if several:
        require(isinstance(value, tuple), name, "a list", value)
    single = next(item for item in WORDS if _is(kind, item))
    for item in value if several else (value,):  # type: ignore[attr-defined]  # seen to be a tuple
        right = isinstance(item, (int, float) if single is float else single)
        require(right and isinstance(item, bool) is (single is bool), name, WORDS[single], item)
        if single in (int, float):
            require(what.holds(item), name, what.range(), item)


def from_toml(config: type, values: Mapping[str, object]) -> dict[str, object]:
    """TOML values as field values: lists become tuples, whole numbers floats where the field is one."""
    types = {name: kind for name, (_, kind, _) in knobs(config).items()}

    def read(name: str, value: object) -> object:
        kind = types.get(name)
        if _is(kind, tuple):
            items = value if isinstance(value, list | tuple) else [value]
            return tuple(_as_float(v) if _is(kind, float) else v for v in items)
        return _as_float(value) if _is(kind, float) else value

    return {name: read(name, value) for name, value in values.items()}


def tables(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The list of tables that TOML values hold under a name, empty where there is none. Raises ConfigError."""
    found = values.get(name, ())
    right = isinstance(found, list | tuple) and all(isinstance(item, Mapping) for item in found)
    require(right, name, f"tables, each headed [[{name}]]", found)
    return list(found)


def require(holds: bool, name: str, needed: str, got: object) -> None:
    """Raises ConfigError unless it holds."""
    if not holds:
        raise ConfigError(f"{name} must be {needed}, got {got}")


def _choices(kind: Any) -> tuple[object, ...]:
    found = next((item for item in (kind, *get_args(kind)) if get_origin(item) is Literal), None)
    return get_args(found)


def _is(kind: Any, wanted: type) -> bool:
    """Whether a type hint is `wanted`, `wanted | None`, or a tuple of it."""
    return kind is wanted or get_origin(kind) is wanted or any(_is(item, wanted) for item in get_args(kind))


def _as_float(value: object) -> object:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
