"""The table that every data set is read into: path, label, group and split of each image."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infer.core.csv_files import csv_line, read_csv
from infer.core.errors import DataError
from infer.core.files import atomic_write
from infer.core.text import listed
from infer.images.listing import natural_key
from infer.model.card import ClassName

TRAIN, VALID, TEST = "train", "valid", "test"
UNKNOWN = -1
"""Class index of an image whose class is not known."""
BLOCK = 100_000
"""Rows that are hashed at once, so that their bytes are not in memory together."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The images of a data set, one row each; all columns have the same length, n."""

    name: str
    """The data set's name in messages: the name of its folder."""
    layout: str
    """The layout that was recognised, in words; model cards keep it."""
    root: Path
    classes: tuple[ClassName, ...]
    paths: tuple[str, ...]
    """Relative to root, or absolute where the file lies elsewhere; `/` between folders."""
    labels: NDArray[np.int64]
    """[n] indices into classes, or UNKNOWN."""
    groups: tuple[str, ...]
    """The patient of each image; "" where not known."""
    splits: tuple[str, ...]
    """train, valid or test."""
    unpacked_from: Path | None = None
    """The file or folder that the user named where `root` is a folder of lab's cache with the images of its files."""
    notes: tuple[str, ...] = ()
    """What was left out or assumed when the data set was read, one line each."""

    def __post_init__(self) -> None:
        if not len(self.paths) == len(self.labels) == len(self.groups) == len(self.splits):
            raise ValueError("the columns of a table differ in length")

    @property
    def source(self) -> Path:
        """What the user named, for messages and for a run's recipe."""
        return self.unpacked_from or self.root

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of images, patients and classes."""
        return (*self.paths, *self.groups, *(item.label for item in self.classes))

    def files(self) -> list[str]:
        """The path of each image relative to the working directory, or absolute."""
        return [str(self.root / path) for path in self.paths]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Table":
        """Return a table of these rows, in this order."""
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            labels=self.labels[np.asarray(rows, dtype=np.int64)],
            groups=tuple(self.groups[row] for row in rows),
            splits=tuple(self.splits[row] for row in rows),
        )

    def split(self, name: str) -> "Table":
        """Return the table of one split."""
        return self.take(self.rows(name))

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row indices of one split, [m]."""
        return np.flatnonzero(np.array(self.splits, dtype=object) == split)

    def counts(self, split: str) -> list[int]:
        """Count the images of each class in a split, [K]."""
        labels = self.labels[self.rows(split)]
        counts: list[int] = np.bincount(labels[labels != UNKNOWN], minlength=len(self.classes)).tolist()
        return counts

    def crossing_groups(self) -> list[str]:
        """Return the groups with images in more than one split, in natural order."""
        return _in_several_splits(self.groups, self.splits)

    def crossing_paths(self) -> list[str]:
        """Return the paths that are listed in more than one split, in natural order."""
        return _in_several_splits(self.paths, self.splits)

    def fingerprint(self) -> str:
        """Return the SHA-256 of path, label, group, split and file size of all images, as hexadecimal digits.

        It depends neither on the order of the rows nor on where root lies.
        """
        rows = sorted(
            f"{path}\0{label}\0{group}\0{split}\0{_size(os.path.join(self.root, path))}\n"
            for path, label, group, split in zip(self.paths, self._label_texts(), self.groups, self.splits, strict=True)
        )
        digest = hashlib.sha256()
        for first in range(0, len(rows), BLOCK):
            digest.update("".join(rows[first : first + BLOCK]).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write path, label, group and split as CSV, for `read_run_table`. Raises OutputError."""
        rows = zip(self.paths, self._label_texts(), self.groups, self.splits, strict=True)
        with (
            atomic_write(path) as draft,
            draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            file.write(csv_line(("path", "label", "group", "split")))
            file.writelines(map(csv_line, rows))

    def _label_texts(self) -> Iterator[str]:
        """Yield the label of each image as text, "" where it is not known."""
        texts = [*(item.label for item in self.classes), ""]  # UNKNOWN is the last
        return (texts[label] for label in self.labels.tolist())


def read_run_table(path: Path, root: Path, classes: tuple[ClassName, ...]) -> Table:
    """Read the table that a training run wrote, so that later stages use the same split.

    Raises:
        DataError: the file is missing, damaged, or has labels that the model does not have.
    """
    header, *rows = read_csv(path, strip=False) or [[]]
    complete = all(len(row) == 4 and row[3] in (TRAIN, VALID, TEST) for row in rows)
    if header != ["path", "label", "group", "split"] or not complete:
        raise DataError(f"{path} is not a run's data table; train again, or name the data set")
    known = {item.label: index for index, item in enumerate(classes)} | {"": UNKNOWN}
    if unknown := sorted({row[1] for row in rows} - set(known)):
        own = listed([item.label for item in classes])
        raise DataError(
            f"{path} has the labels {listed(unknown)}, but the model has {own}; use the table of the model's own run"
        )
    return Table(
        name=root.name,
        layout="as the run split it",
        root=root,
        classes=classes,
        paths=tuple(row[0] for row in rows),
        labels=np.array([known[row[1]] for row in rows], dtype=np.int64),
        groups=tuple(row[2] for row in rows),
        splits=tuple(row[3] for row in rows),
    )


def spread(count: int, limit: int | None) -> list[int]:
    """Return up to `limit` of `count` > 0 row indices, evenly spaced; all of them where there is no limit."""
    rows = np.unique(np.linspace(0, count - 1, min(limit or count, count)).round().astype(int))
    return [int(row) for row in rows]


def _in_several_splits(names: Sequence[str], splits: Sequence[str]) -> list[str]:
    first: dict[str, str] = {}
    crossing = {
        name for name, split in zip(names, splits, strict=True) if name and first.setdefault(name, split) != split
    }
    return sorted(crossing, key=natural_key)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
