"""JSON and TOML that may come from anywhere: whatever is wrong with a text is a ValueError."""

import json
import tomllib
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")
A = TypeVar("A")

MOST_LEVELS = 100
"""Objects and lists inside each other; lab writes fewer than ten, and Python fails at some hundreds."""
TOO_DEEP = f"more than {MOST_LEVELS} objects or lists inside each other"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, or has more than MOST_LEVELS levels."""
    return _parse(json.loads, text)


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text. Raises ValueError where it is none, or has more than MOST_LEVELS levels."""
    return _parse(tomllib.loads, text)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a parsed value is a whole number, which Python also takes `true` and `false` for."""
    return isinstance(value, int) and not isinstance(value, bool)


def _parse(loads: Callable[[T], A], text: T) -> A:
    try:
        value = loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    _check_levels(value)
    return value


def _check_levels(value: Any) -> None:
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    raise ValueError(TOO_DEEP)
