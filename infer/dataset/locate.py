"""Find the file that a table means by the name of an image."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from infer.core.errors import DataError
from infer.core.files import cache_folder
from infer.core.text import listed
from infer.dataset.other_spellings import OtherSpellings, is_absolute, with_slashes
from infer.images.formats import suffixes
from infer.images.listing import is_image, list_images
from infer.images.skipped import Skipped

Missing = dict[str, Path]
"""Names for which no image was found, each with the table that has it."""


class ImageIndex:
    """All images below a data folder, listed once, so that looking up a row does not touch the disk."""

    def __init__(self, root: Path, skipped: Skipped | None = None, table: Path | None = None) -> None:
        """List the images below the data folder `root`; paths that are found are relative to it.

        `skipped` counts the other files, without CSV files and `table` in the folder itself, and folders that may not
        be listed.
        """
        self.root = root
        self._base = os.path.abspath(root)
        tables = [file.name for file in root.glob("*.csv")]
        if table is not None and table.resolve().parent == root.resolve():
            tables.append(table.name)
        self.paths = list_images(root, skipped, tables, needs_all=False)
        self._stems: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._spellings: OtherSpellings | None = None  # made when a name is not found as it is written
        for path in self.paths:
            stem = os.path.splitext(path)[0]
            self._stems[stem].append(path)
            for known in {path, stem}:
                self._by_name[known.rsplit("/", 1)[-1]].append(path)
        self.known = {path: path for path in self.paths}
        self.respelled = 0
        """How many names were found only under another spelling of their path."""
        self.example = ""
        """The first of these, with the path that was found."""

    def find(self, name: str, folder: str = "") -> str | None:
        """Return the path of the image that a table in `folder` (relative to root) calls `name`, or None.

        It is looked up relative to the table's folder, to the data folder, and to the folder `images` in either; then a
        bare file name anywhere below the data folder. A name without a known suffix fits any, `.jpeg` first. A hidden
        image is found only by its absolute path. Any other name may be written in another way: with backslashes between
        folders, in another case, from the folder above the data folder, or as an absolute path of another machine
        (see `OtherSpellings`).

        Raises:
            DataError: it may be several images.
        """
        if not folder and name in self.known:
            return self.known[name]  # one text for all rows that name the image
        path = self._find_as_written(name, folder)
        if path is None:
            path = self._only(name, self._other_spellings(name, folder))
            if path is not None:
                self.respelled += 1
                self.example = self.example or f"{name} is {path}"
        return path

    def has(self, name: str) -> bool:
        """Whether one or several images have this name; it is not counted as another spelling of a path."""
        respelled, example = self.respelled, self.example
        try:
            return self.find(name) is not None
        except DataError:
            return True
        finally:
            self.respelled, self.example = respelled, example

    def _find_as_written(self, name: str, folder: str) -> str | None:
        for parent in _parents(folder):
            full = os.path.normpath(os.path.join(self._base, parent, name))
            if full.startswith(self._base + os.sep):
                path = full[len(self._base) + 1 :].replace(os.sep, "/")
                if path in self.known:
                    return path
                if path in self._stems and not is_image(path):
                    return min(self._stems[path], key=_preference)
            if os.path.isabs(name) or not full.startswith(self._base + os.sep):
                names = [full] if is_image(full) else [full + suffix for suffix in suffixes()]
                outside = next(filter(os.path.isfile, names), None)
                if outside:
                    return outside
        return None if os.path.isabs(name) else self._only(name, self._by_name.get(name, []))

    def _other_spellings(self, name: str, folder: str) -> list[str]:
        plain = with_slashes(name)
        if self._spellings is None:
            self._spellings = OtherSpellings(self.paths, self._base)
        if is_absolute(plain):
            return self._spellings.by_tail(plain)
        for parent in _parents(folder):
            if paths := self._spellings.by_case(os.path.join(parent, plain)):
                return paths
        first, _, below = plain.partition("/")
        if below and first == os.path.basename(self._base):
            return self._spellings.by_case(below)
        return [] if "/" in plain else self._spellings.by_name(plain)

    def _only(self, name: str, paths: Sequence[str]) -> str | None:
        """Return the only one of the paths; None if there are none. Raises DataError where there are several."""
        if len(paths) > 1:
            raise DataError(f"{name!r} may be {listed(paths)} in {self.root}; write the path in the table")
        return paths[0] if paths else None


def _parents(folder: str) -> tuple[str, ...]:
    """Return the folders from which a table in `folder` may name its images."""
    return folder, "", os.path.join(folder, "images"), "images"


def _preference(path: str) -> int:
    """Rank of a file among files that differ only in their suffix; the lowest is taken."""
    suffix = os.path.splitext(path)[1].lower()
    return suffixes().index(suffix) if suffix in suffixes() else len(suffixes())


def find_all(index: ImageIndex, names: list[str], table: Path, missing: Missing | None = None) -> list[str]:
    """Return the path of each name in a column of `table`.

    With `missing`, a name without an image is added there and returned as it is.

    Raises:
        DataError: images are missing and there is no `missing` to add them to, or a name is ambiguous.
    """
    folder = os.path.relpath(table.resolve().parent, index.root.resolve()).replace(os.sep, "/")
    paths = [index.find(name, "" if folder == "." else folder) for name in names]
    absent = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing is not None:
        missing.update(dict.fromkeys(absent, table))
    elif absent:
        raise missing_images(absent, table, index.root)
    return [name if path is None else path for name, path in zip(names, paths, strict=True)]


def missing_images(names: list[str], table: Path, root: Path) -> DataError:
    """Make the error for names in a table for which there is no image."""
    unpacked = all(Path(name).is_relative_to(cache_folder() / "unpacked") for name in names)
    remedy = "put them there, or correct the table"
    if unpacked:
        remedy = "they were unpacked there from a data set; run lab data check on that, or split it again"
    return DataError(f"{table} names {len(names)} images that are not below {root}: {listed(names)}; {remedy}")
