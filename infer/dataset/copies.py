"""Copies of images, which a split must not part: rows of one path, and files with the same bytes."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infer.core.text import listed
from infer.dataset.table import UNKNOWN, Table

PIECE = 4096
"""Bytes at the start, in the middle and at the end of a file that are compared before all of it is."""


@dataclass(frozen=True)
class Copies:
    """The rows of a table that show one image several times."""

    table: Table
    rows: tuple[tuple[int, ...], ...]
    """For each image that there is more than once, its rows in ascending order."""

    def groups(self) -> tuple[str, ...]:
        """Return the groups of the table, [n], in which copies of an image and all images of their groups share one.

        Rows that have neither a copy nor a group keep "".
        """
        groups = list(self.table.groups)
        merged: dict[str, str] = {}
        for number, rows in enumerate(self.rows):
            names = [_merged(groups[row], merged) for row in rows if groups[row]] or [f"\0copies {number}"]
            merged |= {name: names[0] for name in names[1:] if name != names[0]}
            for row in rows:
                groups[row] = groups[row] or names[0]
        return tuple(_merged(group, merged) for group in groups)

    def notes(self) -> tuple[str, ...]:
        """Describe the copies, and those with several labels, in one line each; nothing where there are none."""
        if not self.rows:
            return ()
        paths, labels, classes = self.table.paths, self.table.labels, self.table.classes
        notes = [
            f"note: {len(self.rows)} images are listed twice or have exact copies, which stay in one split: "
            f"{listed([_example([paths[row] for row in rows]) for rows in self.rows], 3)}"
        ]
        contradictory = [rows for rows in self.rows if len({*labels[list(rows)].tolist()} - {UNKNOWN}) > 1]
        if contradictory:
            texts = [
                " and ".join(f"{paths[row]} ({classes[labels[row]].label})" for row in rows if labels[row] != UNKNOWN)
                for rows in contradictory
            ]
            notes.append(
                f"warning: {len(contradictory)} images have copies with another label: {listed(texts, 3)}; "
                "keep the right one (lab data check lists all of them)"
            )
        return tuple(notes)


def find_copies(table: Table) -> Copies:
    """Find the rows with the same path, and those whose files have the same bytes.

    Only files of one size are read, and of most of these three pieces. Files that are empty or cannot be read are not
    compared. Images with the same pixels in different files are found by `lab data check`, which decodes them.
    """
    first_row: dict[str, int] = {}
    repeated: dict[int, list[int]] = defaultdict(list)
    for row, path in enumerate(table.paths):
        if (first := first_row.setdefault(path, row)) != row:
            repeated[first].append(row)
    same = _identical_files(table.root, list(first_row))
    with_copies = {path for paths in same for path in paths}
    same += [[path] for path in (table.paths[row] for row in repeated) if path not in with_copies]
    firsts = [[first_row[path] for path in paths] for paths in same]
    return Copies(
        table, tuple(sorted(tuple(sorted(r for f in rows for r in (f, *repeated.get(f, ())))) for rows in firsts))
    )


def _merged(group: str, merged: dict[str, str]) -> str:
    """Return the group that a group was merged into, or itself."""
    while group in merged:
        group = merged[group]
    return group


def _example(paths: Sequence[str]) -> str:
    names = list(dict.fromkeys(paths))
    return f"{names[0]} {len(paths)} times" if len(names) == 1 else " and ".join(names[:2])


def _identical_files(root: Path, paths: Sequence[str]) -> list[list[str]]:
    """Return the paths, each given once, whose files below `root` have the same bytes, by content."""
    sizes = np.fromiter((_size(root, path) for path in paths), dtype=np.int64, count=len(paths))
    values, counts = np.unique(sizes, return_counts=True)
    shared = np.isin(sizes, values[(counts > 1) & (values > 0)])
    same = list(_grouped((paths[index], int(sizes[index])) for index in np.flatnonzero(shared).tolist()))
    digests: tuple[Callable[[Path, str], bytes | None], ...] = (_digest_of_pieces, _digest)
    for digest in digests:
        same = [group for files in same for group in _grouped((path, digest(root, path)) for path in files)]
    return same


def _grouped(values: Iterable[tuple[str, Hashable]]) -> Iterable[list[str]]:
    """Return the paths that share a value, where several do; those without a value (None) share none."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for path, value in values:
        if value is not None:
            groups[value].append(path)
    return [paths for paths in groups.values() if len(paths) > 1]


def _size(root: Path, path: str) -> int:
    try:
        return os.stat(os.path.join(root, path)).st_size
    except OSError:
        return 0


def _digest_of_pieces(root: Path, path: str) -> bytes | None:
    """Return a digest of three pieces of a file, which tells nearly all different files of one size apart."""
    try:
        with open(os.path.join(root, path), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            pieces = []
            for start in (0, size // 2, max(0, size - PIECE)):
                file.seek(start)
                pieces.append(file.read(PIECE))
    except OSError:
        return None
    return hashlib.blake2b(b"".join(pieces), digest_size=32).digest()


def _digest(root: Path, path: str) -> bytes | None:
    try:
        with open(os.path.join(root, path), "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
