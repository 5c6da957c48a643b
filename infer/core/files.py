"""Files appear whole or not at all; names come in natural order; one place is the cache."""

import contextlib
import csv
import errno
import hashlib
import io
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from infer.core.errors import DataError, OutputError
from infer.core.remote import delete, upload, uri_of

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
"""Known image suffixes, in the order in which a name without one is tried."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path`; rename it to `path` at the end, or delete it if anything failed.

    The draft keeps the suffix. A reader sees the old file or the new one, never half of one.

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
    """The one-line error for a failed write of `path`, with the remedy."""
    cached = path.is_relative_to(cache_folder())
    remedy = "set LAB_CACHE to a folder with room" if cached else "choose another place with --out"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"the disk is full and {path} was not written; free some space or {remedy}")
    return OutputError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once, atomically. Raises OutputError."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file at once, atomically; bytes of a name that are no UTF-8 are kept. Raises OutputError."""
    write_bytes(path, content.encode("utf-8", "surrogateescape"))


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, as hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Delete a file if it is there, on this machine or by its URI. Raises OSError, OutputError."""
    if uri := uri_of(path):
        try:
            delete(uri)
        except OSError as error:
            raise OutputError(f"cannot write to {uri}: {error}; check the address and the credentials") from error
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make `path` and its parents if they are not there. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def read_csv(path: Path, strip: bool = True) -> list[list[str]]:
    """The rows of a CSV as text, blank lines left out; a byte-order mark and CR LF are understood.

    Spaces around a cell are stripped, unless `strip` is false.

    Raises:
        DataError: there is no such file, it cannot be read, or it is no text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            rows = [[cell.strip() if strip else cell for cell in row] for row in csv.reader(lines)]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV: {error}; save it as comma-separated text") from error
    if any("\0" in cell for row in rows[:100] for cell in row):
        raise DataError(f"{path} is not a CSV: it holds NUL bytes; save it as comma-separated text in UTF-8")
    return [row for row in rows if any(row)]


def natural_key(name: str) -> str:
    """A sort key that puts `img2` before `img10`, and is a total order over any names.

    One text, as a list of a million names has as many keys: a number is its length and its digits, which is its value's
    order; marks that no name begins a part with put numbers before text, and the end before both.
    """
    parts = []
    for digits, text in re.findall(r"([0-9]+)|([^0-9]+)", name):
        number = digits.lstrip("0")
        parts.append(f"\2{text}" if text else f"\1{chr(len(number))}{number}")
    return f"{''.join(parts)}\0{name}"


def list_images(folder: Path) -> list[str]:
    """Paths of all images below `folder`, relative to it with `/`, in natural order; hidden names are left out.

    Raises:
        DataError: a folder below it cannot be listed.
    """
    found: list[str] = []
    for where, folders, names in os.walk(folder, onerror=_cannot_list, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_loop(str(folder), where, name)]
        start = os.path.relpath(where, folder).replace(os.sep, "/")
        prefix = "" if start == "." else start + "/"
        found += [prefix + name for name in names if is_image(name) and not name.startswith(".")]
    return sorted(found, key=natural_key)


def _cannot_list(error: OSError) -> None:
    what = error.strerror or error
    raise DataError(f"cannot list {error.filename}: {what}; make it readable or take it out") from error


def _is_loop(top: str, where: str, name: str) -> bool:
    """Whether `where`/`name` is a link to a folder that the walk from `top` to it went through, and has no end."""
    path = os.path.join(where, name)
    if not os.path.islink(path):
        return False
    through = {os.path.realpath(where)}
    while where != top and where != os.path.dirname(where):
        where = os.path.dirname(where)
        through.add(os.path.realpath(where))
    return os.path.realpath(path) in through


def is_image(name: str) -> bool:
    """Whether the name ends as a known kind of image does."""
    return name.lower().endswith(SUFFIXES)


def cache_folder() -> Path:
    """Where lab keeps what it can make again: $LAB_CACHE, or `lab` in the user's cache folder."""
    if chosen := os.environ.get("LAB_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "lab"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lab"


def csv_line(row: Sequence[object]) -> str:
    """A row as CSV, ended by a line feed. Cells with a quote, comma or line break of either kind are quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)  # it quotes what is part of the terminator, so CR and LF
    return text.getvalue()[:-2] + "\n"


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV text."""
    return "".join(map(csv_line, rows))
