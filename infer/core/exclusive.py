"""One process at a time for what two would spoil: the outputs of a command, and the parts of the cache.

The locks are files in the cache's folder `locks`, one for each path, which name the process that has them. They end
with their process; a file that a killed process left means nothing, and the next process that takes any lock deletes
it. All processes with the same cache know them, on this machine and, where the file system has locks, on others.
"""

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infer.core.errors import LabError, OutputError
from infer.core.files import cache_folder
from infer.core.locks import is_at, try_lock
from infer.core.parse import is_whole, parse_json
from infer.core.remote import display_path, uri_of

PAUSE = 0.1
"""Seconds between two attempts of a process that waits."""


@contextlib.contextmanager
def exclusive(*paths: Path, remedy: str = "give another --out") -> Iterator[None]:
    """Write these files or folders alone while the block runs.

    Args:
        paths: the outputs of a command, or their URIs.
        remedy: what to do instead of waiting.

    Raises:
        OutputError: another process writes one of them; nothing was changed.
    """
    with contextlib.ExitStack() as stack:
        for path in dict.fromkeys(paths):
            if lock := _lock_for(path):
                if not lock.acquire():
                    raise OutputError(f"{lock.holder()} is writing {display_path(path)}; wait for it, or {remedy}")
                stack.callback(lock.release)
        yield


@contextlib.contextmanager
def one_at_a_time(path: Path, say: Callable[[str], None] = lambda text: None, size: int = 0) -> Iterator[None]:
    """Wait until no other process fills a part of the cache, and keep others waiting while the block runs.

    Args:
        path: the file or folder in the cache.
        say: is called with a line for the user before a wait.
        size: the bytes that it will take, for `reserved`.
    """
    lock = _lock_for(path, size)
    if lock is None:
        yield
        return
    if not lock.acquire():
        say(f"waiting for {lock.holder()}, which is writing {path}")
        while not lock.acquire():
            time.sleep(PAUSE)
    try:
        yield
    finally:
        lock.release()


def reserved(folder: Path) -> int:
    """The bytes that other processes are writing into a folder of the cache now."""
    locks = _folder()
    notes = [_read(path) for path in locks.glob("*.lock") if _is_held(path)] if locks else []
    others = [note for note in notes if note.get("pid") != os.getpid() and note.get("folder") == str(folder)]
    sizes = [note.get("size") for note in others]
    return sum(max(0, size) for size in sizes if is_whole(size))


class _Lock:
    """The lock of one path.

    Attributes: path (Path), its file; note (dict), which the file holds while the lock is held.
    """

    def __init__(self, path: Path, note: dict[str, Any]) -> None:
        self.path, self.note = path, note
        self._descriptor = -1

    def acquire(self) -> bool:
        """Take the lock; False where another has it. True also where there can be no locks."""
        try:
            while (descriptor := self._open()) >= 0:
                locked = try_lock(descriptor)
                if locked is False:
                    os.close(descriptor)
                    return False
                if is_at(descriptor, self.path):  # otherwise its last holder has deleted it meanwhile
                    break
                os.close(descriptor)
        except OSError:
            return True
        self._descriptor = descriptor
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(self.note).encode())
        _delete_left_behind(self.path)
        return True

    def _open(self) -> int:
        """Raises OSError."""
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process has just deleted the empty folder
                return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)

    def release(self) -> None:
        """Delete the file, and give up the lock."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
                self.path.parent.rmdir()  # where it was the last one
            os.close(self._descriptor)

    def holder(self) -> str:
        """Who has the lock, for people."""
        note = _read(self.path)
        host = "" if note.get("host") == platform.node() else f" on {note.get('host')}"
        return f"another lab (process {note['pid']}{host})" if "pid" in note else "another lab"


def _lock_for(path: Path, size: int = 0) -> _Lock | None:
    """The lock of a path; None where there can be none, since the cache cannot be written."""
    folder = _folder()
    if folder is None:
        return None
    key = hashlib.sha256(os.fsencode(uri_of(path) or os.path.realpath(path))).hexdigest()[:20]
    note = {"pid": os.getpid(), "host": platform.node(), "folder": str(path.parent), "size": size}
    return _Lock(folder / f"{key}.lock", note)


def _folder() -> Path | None:
    try:
        return cache_folder() / "locks"
    except (OSError, LabError):
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        note = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _is_held(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return try_lock(file.fileno(), shared=True) is False
    return False


def _delete_left_behind(own: Path) -> None:
    for path in own.parent.glob("*.lock"):
        with contextlib.suppress(OSError):
            if path != own:
                descriptor = os.open(path, os.O_RDWR)
                if try_lock(descriptor):
                    path.unlink()
                os.close(descriptor)
