"""Lists of paths: one path per line, or separated by NUL as `find -print0` writes them."""

import codecs
import os
from collections.abc import Sequence
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.locate import ImageIndex

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How a list begins that PowerShell's `>` writes."""


def split_paths(content: bytes, source: object) -> list[str]:
    """Return the paths in a list; bytes that are not UTF-8 become surrogates, as in `os.fsdecode`.

    Whatever is in a line belongs to its path: commas, quotes, spaces. Only a byte-order mark and the end of the line
    are taken away, and empty lines.

    Args:
        content: of the list.
        source: of the list, for the error.

    Raises:
        DataError: it begins as UTF-16 does, and is not.
    """
    if content.startswith(UTF16):
        try:
            text = content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(f"{source} begins as UTF-16 and is not: {error.reason}; save it as UTF-8") from error
    else:
        text = os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
    lines = text.split("\0") if "\0" in text else [line.rstrip("\r") for line in text.split("\n")]
    return [line for line in lines if line]


def find_paths(source: Path, lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Find the image of each line of the list `source`.

    A path is relative to the list's folder, as it is written, else without the spaces around it; else it is the name
    of an image below that folder, as in a table (see `ImageIndex.find`).

    Returns:
        [n] the names as the list has them, and [n] the images' paths.

    Raises:
        DataError: an image is missing, or a name fits several images.
    """
    folder = source.parent
    found = [_existing(folder, line) for line in lines]
    index = ImageIndex(folder) if None in found else None
    missing = []
    for position, line in enumerate(lines):
        if found[position] is None and index is not None:
            path = index.find(line.strip())
            found[position] = None if path is None else (line.strip(), str(folder / path))
            missing += [line] if path is None else []
    if missing:
        raise DataError(f"{source} names {len(missing)} images that are not below {folder}: {_help(source, missing)}")
    pairs = [pair for pair in found if pair is not None]
    return [name for name, _ in pairs], [path for _, path in pairs]


def _existing(folder: Path, line: str) -> tuple[str, str] | None:
    """The name and the path of the file that a line names in `folder`; None where there is none."""
    for name in dict.fromkeys((line, line.strip())):
        path = str(folder / name)
        if os.path.isfile(path):
            return name, path
    return None


def _help(source: Path, missing: Sequence[str]) -> str:
    """The first missing paths, and the remedy."""
    if all(map(os.path.isfile, missing)):
        return f"{listed(missing)}; they are below the working folder: give the list as lab predict - < {source}"
    return f"{listed(missing)}; put them there, or correct the list (of a table, name the column with --image-column)"
