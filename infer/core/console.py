"""Output on the terminal: lines, tables, a live progress bar. Text is never read as markup."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from infer.core.text import shown

WIDEST = 2000
"""Characters in a line of a table that is not printed on a terminal."""


class Terminal(Console):
    """A rich console that stays quiet once its reader has closed the pipe, as in `lab predict ... | head -1`."""

    def on_broken_pipe(self) -> None:
        """Discard further output; rich would exit here, before the work is finished."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


@dataclass(frozen=True)
class Bar:
    """A running progress bar."""

    progress: Progress
    task: TaskID

    def step(self, completed: int, note: str = "") -> None:
        """Show `completed` of the total, and `note` at the end of the bar."""
        self.progress.update(self.task, completed=completed, note=note)


def open_screen(to_stderr: bool = False) -> "Screen":
    """The terminal; a quiet one in all but the first of several processes of torchrun, which sets RANK.

    Args:
        to_stderr: write to standard error, because standard output is read by a program.
    """
    return Screen(Terminal(stderr=to_stderr)) if os.environ.get("RANK", "0") == "0" else Screen(Console(quiet=True))


@dataclass(frozen=True)
class Screen:
    """A terminal, or a quiet stand-in for one: `Screen(Console(quiet=True))`."""

    console: Console = field(default_factory=Terminal)

    def say(self, text: str) -> None:
        """Print lines of text, without markup and without wrapping."""
        self.console.print(Text("\n".join(map(shown, text.split("\n")))), soft_wrap=True)

    def show(self, *renderables: RenderableType) -> None:
        """Print tables, or anything else that rich can render.

        They are folded to the width of a terminal; in a pipe or a file a name stays in one piece, to be searched for.
        """
        if self.console.is_terminal:
            self.console.print(*renderables, sep="\n")
            return
        width, options = self.console.width, self.console.options.update(max_width=WIDEST)
        natural = [self.console.measure(item, options=options).maximum for item in renderables]
        self.console.width = max([width, *natural])  # print() takes no width above the console's
        self.console.print(*renderables, sep="\n")
        self.console.width = width

    @contextlib.contextmanager
    def bar(self, description: str, total: int) -> Iterator[Bar]:
        """Show a progress bar and remove it at the end; show nothing if the output is not a terminal."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
        )
        hidden = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            yield Bar(progress, progress.add_task(description, total=max(total, 1), note=""))


SILENT = Screen(Console(quiet=True))
"""Shows nothing."""


@contextlib.contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Capture what libraries in C write to file descriptor 2; the list has the lines once the block has ended."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        try:
            stderr = os.dup(2)
        except OSError:  # the process has no standard error
            yield lines
            return
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
