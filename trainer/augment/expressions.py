"""The language of steps: `rotation(20), one_of(grayscale, temperature(0.1)) @ 0.5`. Standard library only.

It has the syntax of Python's calls and is parsed by Python's own parser, but never run: names, numbers, strings,
nesting, and `@ p` for "with probability p".
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from infer.core.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One step as written."""

    name: str
    arguments: tuple[object, ...]
    """Positional arguments: numbers, strings and Calls."""
    named: tuple[tuple[str, object], ...]
    """Keyword arguments."""
    probability: float | None
    """None where the text gives none."""


def parse_calls(text: str, option: str) -> tuple[Call, ...]:
    """Parse comma-separated steps; an empty text has none. Raises ConfigError, naming `option`."""
    if not text.strip():
        return ()
    message = f"{option} must be steps such as rotation(20), hflip; got {' '.join(text.split())}"
    try:
        tree = ast.parse(f"[{text}\n]", mode="eval").body
        if isinstance(tree, ast.List):
            return tuple(_call(node, option) for node in tree.elts)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(message) from None
    raise ConfigError(message)


def build(call: Call, classes: Mapping[str, type[T]], option: str) -> T:
    """Build the dataclass that a call names from its arguments.

    Raises:
        ConfigError: there is no such step, it takes no such arguments, or its own check (ValueError) refuses them.
    """
    if call.name not in classes:
        raise ConfigError(f"{option}: unknown step {call.name}; choose one of {', '.join(classes)}")
    step_class = classes[call.name]
    try:
        return step_class(*call.arguments, **dict(call.named))
    except TypeError:
        names = ", ".join(field.name for field in fields(step_class))  # type: ignore[arg-type]  # all are dataclasses
        raise ConfigError(f"{option}: {call.name} takes ({names}), got other arguments") from None
    except ValueError as error:
        raise ConfigError(f"{option}: {call.name}: {error}") from None


def _call(node: ast.expr, option: str) -> Call:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        inner, probability = _call(node.left, option), _value(node.right, option)
        if not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise ConfigError(f"{option}: a probability must be from 0 to 1, got {ast.unparse(node.right)}")
        product = probability if inner.probability is None else inner.probability * probability
        return Call(inner.name, inner.arguments, inner.named, float(product))
    if isinstance(node, ast.Name):
        return Call(node.id, (), (), None)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        named = tuple((item.arg or "**", _value(item.value, option)) for item in node.keywords)
        if len(dict(named)) < len(named):
            raise ConfigError(f"{option}: {ast.unparse(node)} gives a value twice; give it once")
        return Call(node.func.id, tuple(_value(item, option) for item in node.args), named, None)
    raise ConfigError(f"{option}: {ast.unparse(node)} is not a step; write, for example, rotation(20)")


def _value(node: ast.expr, option: str) -> object:
    """A number, a string, or a step inside a step."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand, option)
        if isinstance(value, int | float):
            return -value
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float | str)
        and not isinstance(node.value, bool)
    ):
        return node.value
    return _call(node, option)
