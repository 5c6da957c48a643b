"""Files that are written completely or not at all, and the folder of the cache."""

import contextlib
import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infer.core.drafts import Draft, draft_folder
from infer.core.errors import ConfigError, LabError, OutputError
from infer.core.output_paths import require_local
from infer.core.remote import delete, upload, uri_of


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a draft; it becomes `path` at the end, or is gone if anything failed or the process ended.

    A reader sees the old file or the new one, never a part of one.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    with open_draft(path) as draft:
        yield draft.path
        publish(draft, path)


@contextlib.contextmanager
def open_draft(path: Path, beside: bool = False) -> Iterator[Draft]:
    """Yield the draft of a file, which `publish` puts at `path`; it is gone at the end if it was not published.

    The folder of `path` is created; the draft of a URI is in the folder for temporary files. `beside`: the draft is in
    the folder of `path`, under a hidden name.

    Raises:
        OutputError: the folder cannot be written, or there is something at `path` that no file may replace.
    """
    target = Path(tempfile.gettempdir()) / path.name if uri_of(path) else _target(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(Draft(target, beside)) as draft:
            yield draft
    except OSError as error:
        raise cannot_write(path, error) from error


def publish(draft: Draft, path: Path) -> None:
    """Put a finished draft at the path for which it was opened. Raises OSError, and OutputError for a URI."""
    uri = uri_of(path)
    if uri is None:
        draft.publish()
        return
    try:
        upload(draft.path, uri)
    except OSError as error:
        raise OutputError(f"cannot write {uri}: {error}; check the address and the credentials") from error


def _target(path: Path) -> Path:
    """The file that a path or a link means. Raises OutputError for a folder, a device or a pipe."""
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not path.name or (path.exists() and not path.is_file()):
        raise OutputError(f"cannot write {path}: it is a folder or a device; give a file's name with --out")
    return path


@contextlib.contextmanager
def atomic_folder(path: Path, option: str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` at the end, or delete it if anything failed.

    Args:
        path: a folder that does not exist yet, or is empty; `require_new` says so before any work.
        option: the option with which the user named it.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or `path` has content by now.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(path) as draft:
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():
                    with file.open("rb") as written:
                        os.fsync(written.fileno())
            if path.is_dir():
                path.rmdir()  # fails unless it is empty
            draft.rename(path)
    except OSError as error:
        raise cannot_write(path, error, option) from error


def require_new(path: Path, option: str) -> None:
    """Raises ConfigError unless `path` is a local folder that does not exist yet, or is empty."""
    require_local(option, path, "folder")
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError(f"{option}: {path} exists already; delete it, or name a new folder")


def cannot_write(path: Path, error: OSError, option: str = "--out") -> OutputError:
    """An OutputError for a failed write of `path`, which the user named with `option`, with the remedy."""
    remedy = "set LAB_CACHE to a folder with room" if _is_cached(path) else f"choose another path with {option}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"the disk is full and {path} was not written; free some space or {remedy}")
    return OutputError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def _is_cached(path: Path) -> bool:
    try:
        return path.is_relative_to(cache_folder())
    except LabError:
        return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises OutputError."""
    with atomic_write(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 file atomically; surrogates become the bytes that they stand for. Raises OutputError."""
    write_bytes(path, content.encode("utf-8", "surrogateescape"))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Delete a local or remote file if it exists. Raises OSError, OutputError."""
    if uri := uri_of(path):
        try:
            delete(uri)
        except OSError as error:
            raise OutputError(f"cannot write to {uri}: {error}; check the address and the credentials") from error
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Create `path` and its parents if they do not exist. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def expand_home(path: str | Path) -> Path:
    """Replace a `~` in front by the user's home folder. Raises ConfigError where the user has none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: there is no home folder that ~ could mean here; write the whole path") from error


def cache_folder() -> Path:
    """The folder for files that lab can make again: $LAB_CACHE, or `lab` in the user's cache folder.

    A user without a home folder, or with one that cannot be written, as in containers and services, has it in the
    folder for temporary files.

    Raises:
        ConfigError: LAB_CACHE begins with `~`, and there is no home folder.
        OutputError: the folder for temporary files has another user's folder in its place.
    """
    if chosen := os.environ.get("LAB_CACHE"):
        return expand_home(chosen)
    usual = os.environ.get("LOCALAPPDATA", "~") if sys.platform == "win32" else os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(usual or "~/.cache").expanduser() / "lab"
    except RuntimeError:
        return _temporary_cache()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return folder if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK) else _temporary_cache()


def _temporary_cache() -> Path:
    """A folder of this user's own in the folder for temporary files, in which any user may put anything."""
    folder = Path(tempfile.gettempdir()) / f"lab-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    own = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    if not stat.S_ISDIR(found.st_mode) or not own:
        raise OutputError(f"{folder} is not a folder of this user alone; set LAB_CACHE to one for lab's cache")
    return folder
