"""Files that are written completely or not at all, and the folder of the cache."""

import contextlib
import errno
import hashlib
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from infer.core.errors import OutputError
from infer.core.remote import delete, upload, uri_of


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; rename it to `path` at the end, or delete it if anything failed.

    The temporary file has the same suffix. A reader sees the old file or the new one, never a part of one.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    if uri := uri_of(path):
        with tempfile.TemporaryDirectory() as folder:
            yield (draft := Path(folder, path.name))
            try:
                upload(draft, uri)
            except OSError as error:
                raise OutputError(f"cannot write {uri}: {error}; check the address and the credentials") from error
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not path.name or (path.exists() and not path.is_file()):
        raise OutputError(f"cannot write {path}: it is a folder or a device; give a file's name with --out")
    draft = path.with_name(f".{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """An OutputError for a failed write of `path`, with the remedy."""
    cached = path.is_relative_to(cache_folder())
    remedy = "set LAB_CACHE to a folder with room" if cached else "choose another path with --out"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"the disk is full and {path} was not written; free some space or {remedy}")
    return OutputError(f"cannot write {path}: {error.strerror or error}; {remedy}")


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


def cache_folder() -> Path:
    """The folder for files that lab can make again: $LAB_CACHE, or `lab` in the user's cache folder."""
    if chosen := os.environ.get("LAB_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "lab"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lab"
