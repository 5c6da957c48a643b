"""A knob: one value of a configuration, with its default, range and help in one place. Standard library only.

`batch_size: int = knob(64, "Batch size.", above=0)` declares a dataclass field. `check` validates it, and
infer/core/options.py makes its option on the command line.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from infer.core.errors import ConfigError
from infer.core.parse import is_whole

TYPE_TEXT = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
COMMON = "Options"
"""The first panel of a command's help: the options that most users need."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """What a value means, which values are valid, and how a command line takes it."""

    help: str
    panel: str = COMMON
    """Heading of the option in the command's help."""
    minimum: float = -math.inf
    above: float = -math.inf
    """Exclusive minimum."""
    maximum: float = math.inf
    below: float = math.inf
    """Exclusive maximum."""
    default_text: str = ""
    """The default as help shows it, where it is not simply the value."""
    short: str = ""
    """One-letter form of the option."""
    metavar: str = ""
    """Placeholder of the value in usage and help; made from the type if empty."""
    argument: bool = False
    """Whether the value is a positional argument, which `metavar` names."""
    off_switch: str = ""
    """The only option of a value that is on by default, such as `--no-sample`."""
    whole_run: bool = False
    """Whether the value is the same in all stages of a training run."""
    option: bool = True
    """Whether the command line takes the value."""

    def range(self) -> str:
        """The valid numbers in words: `above 0`, `from 0 to 1`, `at least 0 and below 1`."""
        if self.minimum > -math.inf and self.maximum < math.inf:
            return f"from {self.minimum:.12g} to {self.maximum:.12g}"
        limits = (
            (self.minimum, "at least"),
            (self.above, "above"),
            (self.maximum, "at most"),
            (self.below, "below"),
        )
        return " and ".join(f"{words} {limit:.12g}" for limit, words in limits if math.isfinite(limit)) or "finite"

    def contains(self, number: float) -> bool:
        """Whether a number is finite and in range."""
        finite = isinstance(number, int) or math.isfinite(number)  # a large int cannot be converted to float
        return finite and self.minimum <= number <= self.maximum and self.above < number < self.below

    def typed_name(self, field: str) -> str:
        """What the user types to set a field: `INPUT`, `--batch-size`, `--no-sample`."""
        return self.metavar if self.argument else self.off_switch or option(field)


class Setting(NamedTuple):
    """A field of a config that is a knob."""

    knob: Knob
    type: Any
    """The field's type hint."""
    default: Any
    """`dataclasses.MISSING` if the value is required."""


def knob(default: Any, help: str, **more: Any) -> Any:  # noqa: A002  # the field's usual name
    """A dataclass field with a Knob as metadata; `more` are fields of Knob."""
    return dataclasses.field(default=default, metadata={"knob": Knob(help=help, **more)})


def argument(metavar: str, help: str, default: Any = MISSING, **more: Any) -> Any:  # noqa: A002
    """A knob that is a positional argument; required unless it has a default."""
    return knob(default, help, metavar=metavar, argument=True, **more)


@functools.cache
def knobs(config: type) -> Mapping[str, Setting]:
    """The fields of a config class that are knobs, by name, in the order of the fields."""
    hints = get_type_hints(config)
    declared = [field for field in dataclasses.fields(config) if "knob" in field.metadata]
    return {field.name: Setting(field.metadata["knob"], hints[field.name], field.default) for field in declared}


def option(field: str) -> str:
    """The option of a field: `batch_size` -> `--batch-size`."""
    return f"--{field.replace('_', '-')}"


def check(config: object, config_class: type) -> None:
    """Check the type and range of every knob that a class of config declares. Raises ConfigError."""
    for field, setting in knobs(config_class).items():
        check_value(setting.knob.typed_name(field), setting, getattr(config, field))


def check_value(name: str, setting: Setting, value: object) -> None:
    """Check the type and range of one value; `name` is what the user typed. Raises ConfigError."""
    if value is None and type(None) in get_args(setting.type):
        return
    if choices := choices_of(setting.type):
        require(value in choices, name, f"one of {', '.join(map(str, choices))}", value)
        return
    is_list = _is(setting.type, tuple)
    if is_list:
        require(isinstance(value, tuple), name, "a list", value)
    item_type = next(kind for kind in TYPE_TEXT if _is(setting.type, kind))
    for item in value if is_list else (value,):  # type: ignore[attr-defined]  # a tuple, as required above
        has_type = isinstance(item, (int, float) if item_type is float else item_type)
        require(has_type and isinstance(item, bool) is (item_type is bool), name, TYPE_TEXT[item_type], item)
        has_nul = isinstance(item, str | Path) and "\0" in str(item)
        require(not has_nul, name, "free of NUL characters, which no path may have", item)
        if item_type in (int, float):
            require(setting.knob.contains(item), name, setting.knob.range(), item)


def from_toml(config: type, values: Mapping[str, object]) -> dict[str, object]:
    """TOML values as field values: lists become tuples, and integers floats where the field is a float."""
    settings = knobs(config)
    return {name: _field_value(settings[name].type if name in settings else None, values[name]) for name in values}


def to_toml(values: Mapping[str, object]) -> str:
    """Field values as lines of TOML; values that are None are left out."""
    texts = {
        name: json.dumps(value, ensure_ascii=False, default=str) for name, value in values.items() if value is not None
    }
    return "".join(f"{name} = {text}\n" for name, text in texts.items()).replace("\x7f", "\\u007f")


def tables(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The array of tables under a name in TOML values; empty if there is none. Raises ConfigError."""
    value = values.get(name, ())
    valid = isinstance(value, list | tuple) and all(isinstance(table, Mapping) for table in value)
    require(valid, name, f"tables, each headed [[{name}]]", value)
    return list(value)


def require(holds: bool, name: str, needed: str, got: object) -> None:
    """Raise ConfigError unless a condition holds: `name` must be `needed`, got `got`."""
    if not holds:
        raise ConfigError(f"{name} must be {needed}, got {got}")


def choices_of(kind: Any) -> tuple[object, ...]:
    """The values of a `Literal`, or of a `Literal | None`; empty for other types."""
    literal = next((item for item in (kind, *get_args(kind)) if get_origin(item) is Literal), None)
    return get_args(literal)


def _is(kind: Any, wanted: type) -> bool:
    """Whether a type hint is `wanted`, `wanted | None`, or a tuple of it."""
    return kind is wanted or get_origin(kind) is wanted or any(_is(item, wanted) for item in get_args(kind))


def _field_value(kind: Any, value: object) -> object:
    convert = _as_float if _is(kind, float) else _as_path if _is(kind, Path) else _unchanged
    if not _is(kind, tuple):
        return convert(value)
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(convert(item) for item in items)


def _unchanged(value: object) -> object:
    return value


def _as_path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _as_float(value: object) -> object:
    if not is_whole(value):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
