"""Files and folders that have no name, or a hidden one, until they are complete; none outlives its process for long.

On Linux a draft is an unnamed file (O_TMPFILE), which the system frees when its process ends. A file that replaces
another needs a hidden name for the moment between `link` and `rename`; where there are no unnamed files, drafts have
such names all the time. Hidden names are numbered, and each draft is locked by the process that writes it: what a
killed process left has no lock any more, and the next writer of the same file deletes it.
"""

import contextlib
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from infer.core.locks import is_at, try_lock

SLOTS = 4
"""Hidden names at which a writer looks for drafts that were left behind, and more while these are taken."""
ABANDONED = 24 * 3600
"""Seconds after its last change from which a draft counts as left behind where the file system has no locks."""
LONGEST_SUFFIX = 16
READ_DRAFT = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Opens no link and waits for no pipe, which another user may have put at a hidden name."""


class Draft:
    """A file in the making. Write it by its `path`, then `publish` it; `close` frees what was not published.

    Attributes:
        path: opens the draft, in this process and in others of the same user.
        target: the name that the file will get.
    """

    def __init__(self, target: Path, beside: bool = False) -> None:
        """Begin a draft.

        Args:
            target: the name that it will get.
            beside: `path` is to be in the target's folder, since the content refers to files beside it.

        Raises:
            OSError: the folder cannot be written.
        """
        self.target = target
        self.path = target
        self._name: Path | None = None
        unnamed = None if beside else _open_unnamed(target.parent)
        if unnamed is None:
            self._descriptor, self._name = _open_named(target)
            self.path = self._name
        else:
            self._descriptor = unnamed
            self.path = Path(f"/proc/{os.getpid()}/fd/{unnamed}")
            try_lock(unnamed, shared=True)

    def publish(self) -> None:
        """Give the file its name, in place of a file that has it. Raises OSError."""
        self.flush()
        if self._name is None:
            delete_abandoned(self.target)
            try:
                self._link(self.target)
                return
            except FileExistsError:
                pass
        os.replace(self.named(), self.target)
        self.abandon()

    def publish_new(self) -> None:
        """Give the file its name. Raises OSError: FileExistsError where a file has that name."""
        self.flush()
        if self._name is None:
            self._link(self.target)
        elif sys.platform == "win32":  # where `rename` replaces no file
            os.rename(self.named(), self.target)
            self.abandon()
        else:
            os.link(self._name, self.target)

    def flush(self) -> None:
        """Wait until the file is on the disk. Raises OSError."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)

    def named(self) -> Path:
        """The hidden name, which an unnamed file gets here, ready to be renamed. Raises OSError."""
        if self._name is None:
            delete_abandoned(self.target)
            self._name = self._link_hidden()
        if sys.platform == "win32":  # an open file cannot be renamed there
            self._release()
        return self._name

    def abandon(self) -> None:
        """Close the draft, and leave it where it is."""
        self._name = None
        self._release()

    def close(self) -> None:
        """Free the draft; a file that was published stays."""
        if self._name is not None and (self._descriptor < 0 or is_at(self._descriptor, self._name)):
            with contextlib.suppress(OSError):
                os.unlink(self._name)
        self.abandon()

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _link_hidden(self) -> Path:
        for name in hidden_names(self.target):
            with contextlib.suppress(FileExistsError):
                self._link(name)
                return name
        raise AssertionError("hidden_names() does not end")

    def _link(self, name: Path) -> None:
        """Give the unnamed file a name that no file has. Raises OSError."""
        # with a folder's descriptor, Python calls linkat, which follows the link in /proc; link does not
        os.link(self.path, name, src_dir_fd=self._descriptor, follow_symlinks=True)


@contextlib.contextmanager
def draft_folder(target: Path, mode: int = 0o777) -> Iterator[Path]:
    """Yield a new hidden folder beside `target`; it is deleted at the end, unless it was renamed.

    Args:
        target: the name that it may be renamed to.
        mode: its permissions, from which the process's umask is taken.

    Raises:
        OSError: it cannot be created.
    """
    delete_abandoned(target)
    folder, descriptor = _make_folder(target, mode)
    try:
        yield folder
    finally:
        if descriptor is None or is_at(descriptor, folder):
            shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def hidden_names(target: Path) -> Iterator[Path]:
    """The hidden names for drafts of a file or a folder, without end."""
    prefix = hidden_prefix(target)
    suffix = target.suffix if len(target.suffix) <= LONGEST_SUFFIX else ""
    return (target.with_name(f"{prefix}{number}{suffix}") for number in count())


def hidden_prefix(target: Path) -> str:
    """What the hidden names for drafts of a file or a folder begin with."""
    return f".lab-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}-"


def delete_abandoned(target: Path) -> None:
    """Delete the drafts of a file or a folder that killed processes left."""
    for number, name in enumerate(hidden_names(target)):
        if not os.path.lexists(name):
            if number >= SLOTS:
                return
            continue
        with contextlib.suppress(OSError):
            _delete_if_abandoned(name)


def _delete_if_abandoned(name: Path) -> None:
    """Raises OSError."""
    try:
        descriptor = os.open(name, READ_DRAFT)
    except PermissionError:  # such as a folder on Windows
        descriptor = None
    try:
        locked = None if descriptor is None else try_lock(descriptor)
        if locked or (locked is None and time.time() - os.lstat(name).st_mtime > ABANDONED):
            if name.is_dir():
                shutil.rmtree(name)
            else:
                os.unlink(name)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_unnamed(folder: Path) -> int | None:
    """The descriptor of a new unnamed file; None where the system has none that can be opened and linked by a path."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag:
        return None
    try:
        descriptor = os.open(folder, flag | os.O_RDWR, 0o666)
    except OSError:  # where the folder is at fault, a named draft will fail too
        return None
    if os.access(f"/proc/{os.getpid()}/fd/{descriptor}", os.W_OK):
        return descriptor
    os.close(descriptor)
    return None


def _open_named(target: Path) -> tuple[int, Path]:
    """Raises OSError."""
    delete_abandoned(target)
    for name in hidden_names(target):
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        except FileExistsError:
            continue
        # otherwise another writer took it for abandoned before it was locked
        if try_lock(descriptor, shared=True) is not False and is_at(descriptor, name):
            return descriptor, name
        os.close(descriptor)
    raise AssertionError("hidden_names() does not end")


def _make_folder(target: Path, mode: int) -> tuple[Path, int | None]:
    """A new folder, and the descriptor that locks it, where the system has locks on folders. Raises OSError."""
    for folder in hidden_names(target):
        try:
            folder.mkdir(mode, parents=True)
        except FileExistsError:
            continue
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except PermissionError:
            return folder, None
        except FileNotFoundError:
            continue
        if try_lock(descriptor) is not False and is_at(descriptor, folder):
            return folder, descriptor
        os.close(descriptor)
    raise AssertionError("hidden_names() does not end")
