"""Values of options that can only mean one thing, converted without Typer.

Typer converts every value, also one that is not given, by pydantic, which takes 0.2 s to load and to make a converter
for each option of the command. What may be wrong is left to Typer, with its messages.
"""

import os
import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

PLAIN = (str, Path, int, float, bool)
WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)
DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


def convert_plain_values(parameters: Iterable[Any], annotations: Mapping[str, Any]) -> None:
    """Let Click's parameters of a command convert plain values themselves.

    Args:
        parameters: those of the command; each calls its own `process_value` for its value, or None.
        annotations: the types of their values by name, as for Typer; the others stay as they are.
    """
    for parameter in parameters:
        kind = _plain_kind(annotations.get(parameter.name))
        is_converted = isinstance(parameter.process_value, _Converter)  # Click keeps its `--help`
        if kind is not None and parameter.nargs in (1, -1) and not is_converted:
            parameter.process_value = _Converter(kind, parameter)


class _Converter:
    """The `process_value` of a parameter."""

    def __init__(self, kind: Any, parameter: Any) -> None:
        self._kind, self._parameter, self._otherwise = kind, parameter, parameter.process_value
        self._is_many = parameter.multiple or parameter.nargs == -1

    def __call__(self, context: Any, value: Any) -> Any:
        """Convert a value, by Typer where it is not plain."""
        items = value if self._is_many else (value,)
        if value is None and not self._parameter.required:
            converted: Any = () if self._is_many else None
        elif isinstance(items, tuple | list) and items and all(_is_plain(self._kind, item) for item in items):
            values = [self._kind(item) if self._kind in (Path, int, float) else item for item in items]
            converted = values if self._is_many else values[0]
        else:
            return self._otherwise(context, value)
        callback = self._parameter.callback
        return callback(context, self._parameter, converted) if callback else converted


def _plain_kind(annotation: Any) -> Any:
    """The type of one value, which is one of PLAIN or a Literal of texts; None for another one."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [item for item in get_args(kind) if item is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else None
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
    is_choice = get_origin(kind) is Literal and all(isinstance(item, str) for item in get_args(kind))
    return kind if is_choice or kind in PLAIN else None


def _is_plain(kind: Any, item: Any) -> bool:
    """Whether an item, as Click has it, can only mean one value of this type."""
    if not isinstance(item, str) or kind is bool:
        return isinstance(item, bool) and kind is bool
    if kind is int or kind is float:
        return (WHOLE if kind is int else DECIMAL).fullmatch(item) is not None
    if kind is str or kind is Path:
        return _is_unicode(item) and (kind is str or _is_absent_or_readable(item))
    return item in get_args(kind)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are not UTF-8
        return False
    return True


def _is_absent_or_readable(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return True
    except ValueError:  # a NUL character
        return False
    return os.access(path, os.R_OK)
