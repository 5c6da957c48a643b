"""A Typer app whose help is plain text, with the options of a command under the headings of their panels.

Typer's own help draws boxes with rich, whose import alone takes longer than all else that `lab --help` does.
"""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from infer.core.knob import COMMON

ARGUMENTS = "Arguments"


class PanelCommand(TyperCommand):
    """A command that lists its arguments, then the common options, then those of each panel."""

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


class App(typer.Typer):
    """A Typer app that makes such commands."""

    def __init__(self, **settings: Any) -> None:
        context = {
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": lambda token: token.replace("_", "-"),
        }
        super().__init__(
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
