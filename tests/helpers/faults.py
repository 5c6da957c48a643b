"""Commands whose changes to files fail, each in its turn, and what must hold afterwards."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.steps import FAILING, Step, steps

ERRORS = tuple(getattr(errno, name) for name in os.environ.get("LAB_FAULT_ERRORS", "ENOSPC EIO EACCES").split())
"""What the steps fail with, in turn; `bench/faults.py` sets it, to let each step fail with each."""
REMEDIES = ("--out", "--web", "--triton", "LAB_CACHE", "TMPDIR", "free some space")
KEPT = (".progress",)
"""Endings of files that are to be there after a failure, so that the same command resumes."""


class Failing:
    """Lets one step fail, counted from 0; `count` is the number of steps that were seen."""

    def __init__(self, number: int = -1) -> None:
        self.number, self.count = number, 0
        self.failed: Step | None = None

    def __call__(self, step: Step) -> None:
        if step.kind not in FAILING:
            return
        if self.count == self.number:
            code = ERRORS[self.number % len(ERRORS)]
            self.failed = step
            self.count += 1
            raise OSError(code, os.strerror(code), step.path)
        self.count += 1


@dataclass(frozen=True)
class Command:
    """A command to let fail.

    Attributes:
        run: runs it in this process.
        prepare: brings the folders into the state before it.
        result: what the files that it writes hold, for a comparison.
        folders: in which its changes are steps, and in which nothing may be left.
        resumes: whether a failure may leave part of the result for the next run.
    """

    run: Callable[[], Any]
    prepare: Callable[[], None]
    result: Callable[[], object]
    folders: Sequence[Path]
    resumes: bool = False

    @cached_property
    def undisturbed(self) -> tuple[int, object]:
        """The number of steps that can fail, and the result where none does."""
        self.prepare()
        with steps(self.folders, counted := Failing()):
            ran = self.run()
        assert ran.code == 0, ran.err
        assert counted.count > 0
        return counted.count, self.result()

    def fail_at(self, number: int) -> None:
        """Let a step fail, and check what is there afterwards, and after another run. Raises AssertionError."""
        self.prepare()
        old = self.result()
        with steps(self.folders, failing := Failing(number)):
            ran = self.run()
        assert failing.failed, "there is no such step"
        where = f"step {number}, {failing.failed.kind} of {failing.failed.path}: {ran.err}"
        assert hidden(self.folders) == [], where
        assert ran.code in (0, 1), where
        if ran.code:
            (line,) = ran.err.splitlines()[-1:]
            assert line.startswith("error: "), where
            assert any(remedy in line for remedy in REMEDIES), where
            assert any(str(folder) in line for folder in self.folders), where
            assert self.resumes or self.result() == old, where
        again = self.run()
        assert again.code == 0, f"{where}, and then {again.err}"
        assert hidden(self.folders) == [], where
        assert self.result() == self.undisturbed[1], where


def hidden(folders: Sequence[Path]) -> list[str]:
    """Hidden files and folders, and locks, anywhere below the folders."""
    found = [path for folder in folders for path in folder.rglob("*") if path.name.startswith(".")]
    return sorted(map(str, (*found, *(path for folder in folders for path in folder.rglob("*.lock")))))


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their paths in it, but for those that are kept to resume."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in KEPT]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
