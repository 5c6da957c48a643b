"""The images below a folder, in natural order."""

import os
import re
from pathlib import Path

from infer.core.errors import DataError
from infer.images.formats import format_names, suffixes


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
    """Whether the name has the suffix of a format in `infer.images.formats`, in any case."""
    return name.lower().endswith(suffixes())


def no_images(source: object) -> DataError:
    """The error for a folder, archive or data set that holds no image."""
    return DataError(f"no images found in {source}; lab reads {format_names()}")
