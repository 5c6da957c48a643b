"""Every change that this process makes to its files, step by step: to count them, to fail one, or to end at one.

A step is a call of Python's that opens a file for writing, writes, flushes, truncates, synchronises, links, renames or
deletes a file, or makes or deletes a folder, below certain folders. What libraries in C do by themselves is not seen.
"""

import builtins
import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

OPEN, WRITE, FLUSH, TRUNCATE, SYNC, LINK, RENAME, MKDIR, DELETE = (
    *("open", "write", "flush", "truncate", "fsync", "link", "rename", "mkdir", "delete"),
)
FAILING = frozenset((OPEN, WRITE, FLUSH, TRUNCATE, SYNC, LINK, RENAME, MKDIR))
"""Steps that a full disk, a faulty one or missing rights can make fail."""


class Step(NamedTuple):
    """One change to a file."""

    kind: str
    path: str


OnStep = Callable[[Step], None]


@contextlib.contextmanager
def steps(folders: Sequence[Path], on_step: OnStep) -> Iterator[None]:
    """Call `on_step` before each change to a file below `folders` while the block runs; its errors are the change's."""
    lock = threading.Lock()
    roots = tuple(os.path.realpath(folder) + os.sep for folder in folders)

    def seen(kind: str, path: Any) -> bool:
        name = _name(path)
        if name is None or not f"{name}{os.sep}".startswith(roots):
            return False
        with lock:
            on_step(Step(kind, name))
        return True

    def watched(kind: str, function: Callable[..., Any], argument: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if argument < len(arguments):
                seen(kind, arguments[argument])
            return function(*arguments, **options)

        return call

    open_file, open_descriptor = io.open, os.open

    def watched_open(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+") or not seen(OPEN, file):
            return open_file(file, mode, *arguments, **options)
        return _Watched(open_file(file, mode, *arguments, **options), _name(file), seen)

    def watched_descriptor(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            seen(OPEN, path)
        return open_descriptor(path, flags, *arguments, **options)

    patches: list[tuple[Any, str, Callable[..., Any]]] = [
        (builtins, "open", watched_open),
        (io, "open", watched_open),
        (os, "open", watched_descriptor),
        *((os, name, watched(kind, getattr(os, name), argument)) for name, (kind, argument) in _CALLS.items()),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    try:
        for owner, name, function in patches:
            setattr(owner, name, function)
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


_CALLS = {
    "write": (WRITE, 0),
    "ftruncate": (TRUNCATE, 0),
    "fsync": (SYNC, 0),
    "link": (LINK, 1),
    "replace": (RENAME, 1),
    "rename": (RENAME, 1),
    "mkdir": (MKDIR, 0),
    "unlink": (DELETE, 0),
    "remove": (DELETE, 0),
    "rmdir": (DELETE, 0),
}
"""Functions of `os`, the kind of step each is, and which of its arguments names the file."""


class _Watched:
    """A file whose changes are steps."""

    def __init__(self, file: Any, name: str | None, seen: Callable[[str, Any], bool]) -> None:
        self._file, self._name, self._seen = file, name, seen

    def write(self, content: Any) -> Any:
        self._seen(WRITE, self._name)
        return self._file.write(content)

    def flush(self) -> None:
        self._seen(FLUSH, self._name)
        self._file.flush()

    def truncate(self, size: int | None = None) -> Any:
        self._seen(TRUNCATE, self._name)
        return self._file.truncate(size)

    def __enter__(self) -> "_Watched":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _name(path: Any) -> str | None:
    """The path of a file, of a descriptor, or of what a path in /proc stands for; None where it has none."""
    try:
        if isinstance(path, int):
            return os.readlink(f"/proc/self/fd/{path}")
        text = os.fsdecode(path)
        return os.readlink(text) if text.startswith("/proc/") else os.path.realpath(text)
    except (OSError, TypeError, ValueError):
        return None
