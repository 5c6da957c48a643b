"""Command-line options made from the knobs of a config, so that each is declared once. Light to import.

@app.command()
@options_of(VerifyConfig)
def verify(config: VerifyConfig) -> None: ...
"""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import typer

from infer.core.errors import ConfigError
from infer.core.knob import Setting, choices_of, knobs, option

Config = TypeVar("Config")
Values = dict[str, Any]


def options_of(config: type[Config]) -> Callable[[Callable[[Config], None]], Callable[..., None]]:
    """Give a command the arguments and options of a config class; the command is called with the config."""

    def decorate(command: Callable[[Config], None]) -> Callable[..., None]:
        return with_settings(command, settings_of(config), lambda values: command(config(**values)))

    return decorate


def settings_of(config: type) -> dict[str, Setting]:
    """The settings that a config class has on the command line; its own come before inherited ones."""
    own = config.__annotations__
    settings = knobs(config)
    return {
        name: settings[name]
        for name in sorted(settings, key=lambda name: name not in own)
        if settings[name].knob.option
    }


def with_settings(
    command: Callable[..., None], settings: Mapping[str, Setting], run: Callable[[Values], None]
) -> Callable[..., None]:
    """A Typer command with the name and help of `command` and one parameter per setting.

    It calls `run` with the typed value of each setting that the user gave.

    Raises:
        ConfigError: a list contains something that is not a number.
    """

    @wraps(command)
    def typer_command(**values: Any) -> None:
        run({name: parse_value(name, settings[name], value) for name, value in values.items() if value is not None})

    parameters = [_parameter(name, setting) for name, setting in settings.items()]
    typer_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return typer_command


def parse_value(name: str, setting: Setting, value: Any) -> Any:
    """A value from Typer as the field's type: `0.6,0.85` becomes (0.6, 0.85), and a list of paths a tuple.

    Augmentation steps stay one text in a tuple, which is empty if the text is blank.

    Raises:
        ConfigError: a list contains something that is not a number.
    """
    kind = plain_type(setting.type)
    if kind == tuple[str, ...]:
        return (value,) if value.strip() else ()
    if kind == tuple[Path, ...]:
        return tuple(value)
    if get_origin(kind) is not tuple:
        return value
    try:
        return tuple(float(item) for item in value.split(","))
    except ValueError:
        raise ConfigError(f"{setting.knob.typed_name(name)} must be numbers separated by commas, got {value}") from None


def plain_type(kind: Any) -> Any:
    """A type hint without `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(item for item in get_args(kind) if item is not type(None))
    return kind


def default_text(setting: Setting) -> str:
    """The default as help shows it: yes or no, lists with commas; empty if there is nothing to show."""
    default = setting.default
    if setting.knob.off_switch:
        return ""
    if default is None or default is MISSING or (setting.knob.default_text and not default):
        return setting.knob.default_text
    if isinstance(default, bool):
        return "yes" if default else "no"
    return ", ".join(map(str, default)) if isinstance(default, tuple | list) else str(default)


def _parameter(name: str, setting: Setting) -> inspect.Parameter:
    kind, required = plain_type(setting.type), setting.default is MISSING
    info = _argument(setting) if setting.knob.argument else _option(name, setting, kind)
    annotation: Any = Annotated[_typer_type(kind) if required else _typer_type(kind) | None, info]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _typer_type(kind: Any) -> Any:
    """What Typer reads for a field: a list of paths, one text for any other list, otherwise the field's type."""
    if get_origin(kind) is not tuple:
        return kind
    return list[Path] if kind == tuple[Path, ...] else str


def _argument(setting: Setting) -> Any:
    return typer.Argument(help=_help(setting), metavar=setting.knob.metavar, show_default=False)


def _option(name: str, setting: Setting, kind: Any) -> Any:
    knob = setting.knob
    names = [option(name), *([knob.short] if knob.short else [])]
    if kind is bool:
        names = [f" /{knob.off_switch}" if knob.off_switch else f"{option(name)}/--no-{name.replace('_', '-')}"]
    metavar = knob.metavar or _metavar(kind)
    return typer.Option(*names, help=_help(setting), metavar=metavar, rich_help_panel=knob.panel, show_default=False)


def _metavar(kind: Any) -> str | None:
    """The placeholder of a value's type, where Typer's own would be long: its help names the choices."""
    if choices_of(kind):
        return "<choice>"
    return "<path>" if kind == tuple[Path, ...] else None


def _help(setting: Setting) -> str:
    default = default_text(setting)
    return f"{setting.knob.help} [default: {default}]" if default else setting.knob.help
