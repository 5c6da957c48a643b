"""A Typer app whose help is plain text, with the options of a command under the headings of their panels.

Typer's own help draws boxes with rich, whose import alone takes longer than all else that `lab --help` does.
"""

import inspect
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from infer.core.knob import COMMON
from infer.core.plain_values import convert_plain_values

ARGUMENTS = "Arguments"


class PanelCommand(TyperCommand):
    """A command that lists its arguments, then the common options, then those of each panel."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if self.callback is not None:
            parameters = inspect.signature(self.callback).parameters
            convert_plain_values(self.params, {name: item.annotation for name, item in parameters.items()})

    def get_help_option(self, ctx: Any) -> Any:
        """Return `--help`; `ctx` is Click's context."""
        return _plain_flag(super().get_help_option(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections; `ctx` is Click's context, `formatter` its HelpFormatter."""
        panels: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], COMMON: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record:
                default_panel = ARGUMENTS if param.param_type_name == "argument" else COMMON
                names, text = record
                panel = getattr(param, "rich_help_panel", None) or default_panel
                panels.setdefault(panel, []).append((names.removeprefix(" / "), text))  # where only the second name is
        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class PanelGroup(TyperGroup):
    """The commands of an app."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return `--help`; `ctx` is Click's context."""
        return _plain_flag(super().get_help_option(ctx))


def _plain_flag(flag: Any) -> Any:
    """Return a flag of Click's own that does without Typer's converters; None where there is none."""
    if flag is not None:
        convert_plain_values([flag], {flag.name: bool})
    return flag


class App(typer.Typer):
    """A Typer app that makes such commands."""

    def __init__(self, **settings: Any) -> None:
        context = {
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": lambda token: token.replace("_", "-"),
        }
        super().__init__(
            cls=PanelGroup,
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings=context,
            **settings,
        )

    def command(self, *args: Any, **settings: Any) -> Callable[..., Any]:
        """As Typer's, with PanelCommand."""
        return super().command(*args, cls=PanelCommand, **settings)
