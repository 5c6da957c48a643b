"""The images below a folder, in natural order."""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from infer.core.errors import DataError
from infer.images.formats import HEAD, format_names, format_of, suffixes
from infer.images.skipped import (
    HELPER,
    HELPER_FILES,
    OTHER,
    OWN,
    UNREADABLE_FOLDER,
    Skipped,
    count_files,
    file_reason,
    folder_reason,
    is_own_output,
)

SUFFIX = re.compile(r"\.[A-Za-z][\w+~-]{0,9}$", re.ASCII)
"""A suffix that says of which kind a file is; the numbers that end the names of scanners' files say nothing."""


def natural_key(name: str) -> str:
    r"""Return a sort key that puts `img2` before `img10`; different names have different keys.

    The key is one string, not a list of parts, to save memory in lists of a million names. Each number becomes `\1`,
    its number of digits and its digits without leading zeros, so numbers compare by value. Text begins with `\2`, and
    so comes after numbers. The name follows after `\0`, which orders names that differ only in leading zeros.
    """
    parts = []
    for digits, text in re.findall(r"([0-9]+)|([^0-9]+)", name):
        number = digits.lstrip("0")
        parts.append(f"\2{text}" if text else f"\1{chr(len(number))}{number}")
    return f"{''.join(parts)}\0{name}"


def list_images(
    folder: Path, skipped: Skipped | None = None, tables: Collection[str] = (), needs_all: bool = True
) -> list[str]:
    """List all images below a folder: paths relative to it with `/`, in natural order.

    Hidden files, those that other programs leave, and what lab itself wrote are skipped.

    Args:
        folder: where to look.
        skipped: counts the files that are skipped, by reason.
        tables: files in `folder` that are read as tables, and so not skipped.
        needs_all: whether a folder that may not be listed is an error; otherwise it is skipped and counted.

    Raises:
        DataError: a folder below it cannot be listed, and is needed.
    """
    found: list[str] = []
    skipped = Skipped() if skipped is None else skipped

    def cannot_list(error: OSError) -> None:
        if needs_all or Path(error.filename) == folder or not isinstance(error, PermissionError):
            what = error.strerror or error
            raise DataError(f"cannot list {error.filename}: {what}; make it readable or take it out") from error
        skipped.add(UNREADABLE_FOLDER, os.path.relpath(error.filename, folder))

    for where, folders, names in os.walk(folder, onerror=cannot_list, followlinks=True):
        start = os.path.relpath(where, folder).replace(os.sep, "/")
        prefix = "" if start == "." else start + "/"
        if prefix and is_own_output(os.path.basename(where), names):
            skipped.add(OWN, start, count_files(where))
            folders.clear()
            continue
        reasons = {name: reason for name in folders if (reason := folder_reason(name))}
        for name, reason in reasons.items():
            skipped.add(reason, name, count_files(os.path.join(where, name)))
        folders[:] = [name for name in folders if name not in reasons and not _is_loop(str(folder), where, name)]
        images = [name for name in names if not name.startswith(".") and (is_image(name) or _holds_image(where, name))]
        found += [prefix + name for name in images]
        if len(images) < len(names):
            _count_others(names, set(images), skipped, () if prefix else tables)
    return sorted(found, key=natural_key)


def _holds_image(folder: str, name: str) -> bool:
    """Whether a file whose name has no suffix of an image is one by its first bytes."""
    return not file_reason(name) and is_image_file(os.path.join(folder, name))


def _count_others(names: Sequence[str], images: Collection[str], skipped: Skipped, tables: Collection[str]) -> None:
    """Count the files of a folder that are not images."""
    for name in names:
        if reason := file_reason(name):
            skipped.add(reason, name if name.lower() in HELPER_FILES else f"{name[:2]}*" if reason == HELPER else name)
        elif name not in images and name not in tables:
            skipped.add(OTHER, os.path.splitext(name)[1].lower() or "no suffix")


def _is_loop(top: str, where: str, name: str) -> bool:
    """Whether `where`/`name` links to a folder between `top` and itself, so that a walk would never end."""
    path = os.path.join(where, name)
    if not os.path.islink(path):
        return False
    through = {os.path.realpath(where)}
    while where != top and where != os.path.dirname(where):
        where = os.path.dirname(where)
        through.add(os.path.realpath(where))
    return os.path.realpath(path) in through


def is_image_file(path: str) -> bool:
    """Whether a file is an image by its suffix or, where its name has none, by its first bytes."""
    if is_image(path):
        return True
    if SUFFIX.search(path) or not os.path.isfile(path):  # a pipe would be waited for
        return False
    try:
        with open(path, "rb", buffering=0) as file:
            return format_of(file.read(HEAD)) is not None
    except OSError:
        return False


def is_image(name: str) -> bool:
    """Whether the name has the suffix of a format in `infer.images.formats`, in any case."""
    return name.lower().endswith(suffixes())


def no_images(source: object, *notes: str) -> DataError:
    """The error for a folder, archive or data set that holds no image; `notes` say what it holds instead."""
    return DataError("; ".join([f"no images found in {source}; lab reads {format_names()}", *filter(None, notes)]))
