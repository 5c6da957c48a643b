"""Files by URI, such as `s3://bucket/cells/`, read and written through pyarrow's file systems.

Configs contain URIs as paths, in which `//` has become `/`; `uri_of` restores it.
"""

import functools
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from infer.core.errors import DataError, MissingExtraError, OutputError

if TYPE_CHECKING:
    import pyarrow.fs

URI = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
"""Scheme and rest of a URI; a scheme has two letters or more, since one would be a Windows drive."""


@dataclass(frozen=True)
class Remote:
    """A file of a remote file system; any process with the same credentials can read it."""

    base: str
    """The URI that the user gave: this file, or a folder that contains it."""
    path: str
    """Path in the file system of that URI; it is not a URI, so names need no escaping."""

    def __str__(self) -> str:
        return f"{self.base.partition('://')[0]}://{self.path}"

    def open(self) -> BinaryIO:
        """Read the whole file. Raises OSError."""
        system, _ = _open_system(self.base)
        with system.open_input_file(self.path) as file:
            return io.BytesIO(file.read())

    def changed(self) -> float:
        """Time of the last change in seconds since 1970; 0 if unknown. Raises OSError."""
        system, _ = _open_system(self.base)
        return (system.get_file_info(self.path).mtime_ns or 0) / 1e9


def uri_of(path: Path) -> str | None:
    """The URI that a path stands for, or None for a local path."""
    match = URI.fullmatch(str(path))
    if match is None:
        return None
    return f"file:///{match[2]}" if match[1] == "file" else f"{match[1]}://{match[2]}"


def local_file(path: Path) -> Path:
    """The file that a path, or a URI of this machine, leads to; a URI of another stays as it is."""
    uri = uri_of(path) or ""
    return path if uri and not uri.startswith("file:") else Path(uri.removeprefix("file://") or path).resolve()


def display_path(path: Path) -> str:
    """The text to show for a path: the URI that it stands for, or the path."""
    return uri_of(path) or str(path)


def require_reachable(uri: str) -> None:
    """Raise OutputError if the file system of a URI cannot be reached; it is not written to."""
    try:
        system, path = _open_system(uri)
        system.get_file_info(path)
    except OSError as error:
        raise OutputError(f"cannot reach {uri}: {_first_line(error)}; check the address and the credentials") from error


def list_remote(uri: str) -> dict[str, Remote]:
    """All files below a remote folder, by their names relative to it with `/`; a single file by its own name.

    Raises:
        DataError: the URI does not exist or cannot be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    try:
        system, path = _open_system(uri)
        kind = system.get_file_info(path).type
        if kind == FileType.File:
            return {path.rpartition("/")[2]: Remote(uri, path)}
        if kind == FileType.NotFound:
            raise DataError(f"the input {uri} does not exist; check the address")
        entries = system.get_file_info(FileSelector(path, recursive=True))
    except OSError as error:
        raise DataError(f"cannot list {uri}: {_first_line(error)}; check the address and the credentials") from error
    start = len(path.rstrip("/")) + 1
    return {entry.path[start:]: Remote(uri, entry.path) for entry in entries if entry.type == FileType.File}


def upload(file: Path, uri: str) -> None:
    """Copy a local file to a URI, atomically if the remote file system writes so. Raises OSError."""
    system, path = _open_system(uri)
    if parent := path.rpartition("/")[0]:
        system.create_dir(parent, recursive=True)
    with system.open_output_stream(path) as out:
        out.write(file.read_bytes())


def delete(uri: str) -> None:
    """Delete a remote file if it exists. Raises OSError."""
    system, path = _open_system(uri)
    if system.get_file_info(path).is_file:
        system.delete_file(path)


@functools.cache
def _open_system(uri: str) -> "tuple[pyarrow.fs.FileSystem, str]":
    try:
        from pyarrow.fs import FileSystem
    except ImportError as error:
        raise MissingExtraError(
            f"{uri} needs pyarrow, which is not installed; run pip install '.[parquet]' in lab's folder"
        ) from error
    try:
        system, path = FileSystem.from_uri(
            quote(uri, safe="!#$%&'()*+,/:;=?@~")
        )  # a URI may not contain brackets and spaces
    except ValueError as error:  # pyarrow's error for an unknown scheme or address
        raise DataError(f"cannot open {uri}: {_first_line(error)}; check the address") from error
    return system, path


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
