"""What the user sees while a command works: lines, tables, a live progress bar. Names are shown as they are."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from infer.core.text import shown


class Terminal(Console):
    """A rich console that goes on in silence where the reader has gone, as in `lab predict ... | head -1`."""

    def on_broken_pipe(self) -> None:
        """Rich would end the program here, and with it the work."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class Bar:
    """A running progress bar."""

    progress: Progress
    task: TaskID

    def step(self, done: int, note: str = "") -> None:
        """`done` of the total are finished; `note` stands at the end of the bar."""
        self.progress.update(self.task, completed=done, note=note)


def open_screen(on_errors: bool = False) -> "Screen":
    """The terminal; a quiet one in all but the first of several processes that torchrun started, which sets RANK.

    `on_errors`: on standard error, where the standard output is for a machine.
    """
    return Screen(Terminal(stderr=on_errors)) if os.environ.get("RANK", "0") == "0" else Screen(Console(quiet=True))


@dataclass(frozen=True)
class Screen:
    """A terminal, or a quiet stand-in for one: `Screen(Console(quiet=True))`."""

    console: Console = field(default_factory=Terminal)

    def say(self, text: str) -> None:
        """One line of text; nothing in it is read as markup, and it is not wrapped."""
        self.console.print(Text("\n".join(map(shown, text.split("\n")))), soft_wrap=True)

    def show(self, *renderables: RenderableType) -> None:
        """Tables."""
        self.console.print(*renderables, sep="\n")

    @contextlib.contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """A progress bar that leaves no trace; nothing where the output is no terminal."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        hidden = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            yield Bar(progress, progress.add_task(what, total=max(total, 1), note=""))


@contextlib.contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """What libraries write to standard error meanwhile, past Python's own; as lines, once it is over."""
    said: list[str] = []
    with tempfile.TemporaryFile() as file:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield said
            return
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said += file.read().decode(errors="replace").splitlines()
