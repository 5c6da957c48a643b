"""Files by URI, such as `s3://bucket/cells/` or `gs://...`: read and written through pyarrow's file systems.

Command lines and configs hold paths, and a path has lost one of the two slashes; `uri_of` puts it back.
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
"""A scheme of one letter would be a Windows drive."""


@dataclass(frozen=True)
class Remote:
    """One file of a remote file system; any process with the same credentials can read it."""

    base: str
    """The URI that the user gave, of this file or of a folder around it."""
    path: str
    """In the file system that this URI leads to; no URI itself, so any name may be in it."""

    def __str__(self) -> str:
        return f"{self.base.partition('://')[0]}://{self.path}"

    def open(self) -> BinaryIO:
        """The content. Raises OSError where it cannot be read."""
        system, _ = _open_system(self.base)
        with system.open_input_file(self.path) as file:
            return io.BytesIO(file.read())

    def changed(self) -> float:
        """When it was last changed, in seconds since 1970; 0 where that is not known. Raises OSError."""
        system, _ = _open_system(self.base)
        return (system.get_file_info(self.path).mtime_ns or 0) / 1e9


def uri_of(path: Path) -> str | None:
    """The URI that a path stands for, or None where it is a path."""
    found = URI.fullmatch(str(path))
    if found is None:
        return None
    return f"file:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"


def display_path(path: Path) -> str:
    """A path, or the URI that it stands for, as the user wrote it."""
    return uri_of(path) or str(path)


def require_reachable(uri: str) -> None:
    """Raises OutputError where a file could not be written there, as far as that can be told without writing."""
    try:
        system, path = _open_system(uri)
        system.get_file_info(path)
    except OSError as error:
        raise OutputError(f"cannot reach {uri}: {_first_line(error)}; check the address and the credentials") from error


def list_remote(uri: str) -> dict[str, Remote]:
    """All files below a remote folder by their names relative to it with `/`; of one file, it alone by its own name.

    Raises:
        DataError: there is nothing, or it cannot be listed.
    """
    from pyarrow.fs import FileSelector, FileType

    try:
        system, path = _open_system(uri)
        kind = system.get_file_info(path).type
        if kind == FileType.File:
            return {path.rpartition("/")[2]: Remote(uri, path)}
        if kind == FileType.NotFound:
            raise DataError(f"the input {uri} does not exist; check the address")
        found = system.get_file_info(FileSelector(path, recursive=True))
    except OSError as error:
        raise DataError(f"cannot list {uri}: {_first_line(error)}; check the address and the credentials") from error
    start = len(path.rstrip("/")) + 1
    return {item.path[start:]: Remote(uri, item.path) for item in found if item.type == FileType.File}


def upload(file: Path, uri: str) -> None:
    """Copy a local file; a reader sees it whole or not at all, as far as the remote system does so. Raises OSError."""
    system, path = _open_system(uri)
    if parent := path.rpartition("/")[0]:
        system.create_dir(parent, recursive=True)
    with system.open_output_stream(path) as out:
        out.write(file.read_bytes())


def delete(uri: str) -> None:
    """Delete a remote file if it is there. Raises OSError."""
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
        system, path = FileSystem.from_uri(quote(uri, safe="!#$%&'()*+,/:;=?@~"))  # brackets and spaces are no URI's
    except ValueError as error:  # pyarrow's for a scheme or an address that it cannot use
        raise DataError(f"cannot open {uri}: {_first_line(error)}; check the address") from error
    return system, path


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
