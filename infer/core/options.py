"""The options of a command, made from the knobs of its config, so that each is written once. Light to import."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import typer

from infer.core.errors import ConfigError
from infer.core.knob import Knob, knobs, option

Command = TypeVar("Command", bound=Callable[..., None])
LIST = "separated by commas"


def with_options(
    command: Command, config: type, names: Sequence[str] | None = None, defaults: Mapping[str, object] | None = None
) -> Command:
    """A command whose `**given` takes an option for every knob of `config`; what the user leaves out is not in it.

    `names`: only these knobs. `defaults`: what help tells as defaults, where that is not the config's own.
    """
    known = {name: item for name, item in knobs(config).items() if item[0].option}
    chosen = [name for name in known if names is None or name in names]
    own = [item for item in inspect.signature(command).parameters.values() if item.kind is not item.VAR_KEYWORD]
    told = {name: default for name, (_, _, default) in known.items()} | dict(defaults or {})
    made = [_parameter(name, *known[name][:2], told[name]) for name in chosen]

    @wraps(command)
    def run(**values: Any) -> None:
        given = {name: values.pop(name) for name in chosen}
        command(**values, **{name: value for name, value in given.items() if value is not None})

    run.__signature__ = inspect.Signature([*own, *made])  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def typed(config: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as the values they stand for: `0.6,0.85` -> (0.6, 0.85), steps -> one text of steps, if there are any.

    Raises:
        ConfigError: a text is no list of numbers.
    """
    read: dict[str, Any] = {}
    for name, value in given.items():
        kind = plain_type(knobs(config)[name][1])
        if kind == tuple[str, ...]:
            read[name] = (value,) if value.strip() else ()
        elif kind == tuple[Path, ...]:
            read[name] = tuple(value)
        elif get_origin(kind) is tuple:
            try:
                read[name] = tuple(float(item) for item in value.split(","))
            except ValueError:
                raise ConfigError(f"{option(name)} must be numbers {LIST}, got {value}") from None
        else:
            read[name] = value
    return read


def plain_type(kind: Any) -> Any:
    """A type hint without `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(item for item in get_args(kind) if item is not type(None))
    return kind


def _parameter(name: str, what: Knob, kind: Any, default: object) -> inspect.Parameter:
    names = (option(name), *([what.short] if what.short else []))
    wanted = plain_type(kind)
    if wanted is bool:
        names = (f"{option(name)}/--no-{name.replace('_', '-')}",)
    told = what.default_text if default is None or (what.default_text and not default) else _told(default)
    listed = get_origin(wanted) is tuple and wanted not in (tuple[str, ...], tuple[Path, ...])
    text = f"{what.help[:-1]}, {LIST}." if listed else what.help
    info = typer.Option(*names, help=text, rich_help_panel=what.panel or None, show_default=told or False)
    several = wanted == tuple[Path, ...]
    typed: Any = list[Path] if several else str if get_origin(wanted) is tuple else wanted
    annotation = Annotated[typed | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _told(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return ", ".join(map(str, default)) if isinstance(default, tuple | list) else str(default)
