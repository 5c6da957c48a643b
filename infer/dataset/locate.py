"""From the name of an image in a table to the file that it means."""

import os
from collections import defaultdict
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.images.listing import SUFFIXES, is_image, list_images

Missing = dict[str, Path]
"""Names for which there is no image, each with the table that names it."""


class ImageIndex:
    """All images below a data folder, listed once, so that a table of any length needs no look at the disk per row."""

    def __init__(self, root: Path) -> None:
        """`root` is the data folder; found paths are relative to it."""
        self.root = root
        self._base = os.path.abspath(root)
        self.paths = list_images(root)
        self._stems: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            stem = os.path.splitext(path)[0]
            self._stems[stem].append(path)
            for known in (path, stem):
                self._by_name[known.rsplit("/", 1)[-1]].append(path)
        self._known = set(self.paths)

    def find(self, name: str, folder: str = "") -> str | None:
        """The path of the image that a table in `folder` (relative to root) calls `name`, or None.

        Looked for beside the table, below the data folder, and in an `images` folder of either; a bare file name, or
        an absolute path of another machine, then by its file name anywhere below the data folder. A name without a
        known suffix is tried with each, `.jpeg` first. A hidden image is found by its absolute path alone.

        Raises:
            DataError: it is a bare file name that several folders have.
        """
        for place in (folder, "", os.path.join(folder, "images"), "images"):
            full = os.path.normpath(os.path.join(self._base, place, name))
            if full.startswith(self._base + os.sep):
                path = full[len(self._base) + 1 :].replace(os.sep, "/")
                if path in self._known:
                    return path
                if path in self._stems and not is_image(path):
                    return min(self._stems[path], key=_preference)
            if os.path.isabs(name) or not full.startswith(self._base + os.sep):
                names = [full] if is_image(full) else [full + suffix for suffix in SUFFIXES]
                outside = next(filter(os.path.isfile, names), None)
                if outside:
                    return outside
        alone = os.path.basename(name) if os.path.isabs(name) else name
        fitting = self._by_name.get(alone, [])
        if len(fitting) > 1:
            raise DataError(f"{name!r} may be {listed(fitting)} in {self.root}; write the path in the table")
        return fitting[0] if fitting else None


def _preference(path: str) -> int:
    """Of files that differ in their suffix alone, which to take first."""
    return SUFFIXES.index(os.path.splitext(path)[1].lower())


def find_all(index: ImageIndex, names: list[str], table: Path, missing: Missing | None = None) -> list[str]:
    """The path of each name in a table's column; with `missing`, a name without image stands there for itself.

    Raises:
        DataError: images are missing (the first few are named) and cannot go into `missing`, or a name is ambiguous.
    """
    folder = os.path.relpath(table.resolve().parent, index.root.resolve()).replace(os.sep, "/")
    found = [index.find(name, "" if folder == "." else folder) for name in names]
    lost = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing is not None:
        missing.update(dict.fromkeys(lost, table))
    elif lost:
        raise not_there(lost, table, index.root)
    return [name if path is None else path for name, path in zip(names, found, strict=True)]


def not_there(names: list[str], table: Path, root: Path) -> DataError:
    """The error for names in a table that no image has."""
    return DataError(
        f"{table} names {len(names)} images that are not below {root}: {listed(names)}; "
        "put them there, or correct the table"
    )
