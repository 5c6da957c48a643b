"""The list of images to leave out: a CSV of Path, split and reason, which `lab data check` writes and people edit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from infer.core.console import Screen
from infer.core.csv_files import csv_text, read_csv
from infer.core.errors import DataError
from infer.core.files import write_text
from infer.core.text import listed
from infer.dataset.layouts import read_listed, read_one_table
from infer.dataset.table import Table
from infer.dataset.validation import check_listed
from infer.images.listing import is_image

HEADER = ("Path", "split", "reason")


@dataclass(frozen=True)
class Exclusion:
    """One image to leave out."""

    path: str
    """As the data set's table has it; a bare name, with its suffix or without, will do where only one image has it."""
    split: str = ""
    """Only where it is listed in this split; "" wherever it is listed."""
    reason: str = ""
    """For people."""


def write_exclusions(path: Path, exclusions: Iterable[Exclusion]) -> None:
    """Write a list that `read_exclusions` reads. Raises OutputError."""
    write_text(path, csv_text([HEADER, *((item.path, item.split, item.reason) for item in exclusions)]))


def read_exclusions(file: Path) -> list[Exclusion]:
    """The list in a file: rows of path, split and reason, or one path a line; a first line `Path...` is a header.

    Raises:
        DataError: it cannot be read.
    """
    rows = read_csv(file, strip=False)
    if rows and rows[0][0].strip().lower() == HEADER[0].lower():
        rows = rows[1:]
    return [Exclusion(*[*row, "", ""][:3]) for row in rows if row[0]]


def read_without(source: Path, fold: int | None, exclude: Path | None, screen: Screen) -> Table:
    """`read_table` of a folder, or of one CSV, without the images of a list; what was left out is said.

    Raises:
        DataError: the data set or the list cannot be read, or nothing is left.
    """
    table, missing = read_one_table(source) if source.is_file() else read_listed(source, fold)
    table = leave_out(table, exclude, screen)
    check_listed(table, missing)
    return table


def leave_out(table: Table, exclude: Path | None, screen: Screen) -> Table:
    """The table without the images of a list, if there is a list; what was left out, and what it was not, is said.

    Raises:
        DataError: the list cannot be read, or nothing is left.
    """
    if not exclude:
        return table
    kept, unknown = without(table, read_exclusions(exclude))
    if len(table) and not len(kept):
        raise DataError(f"{exclude} leaves out all {len(table)} images of {table.root}; shorten it")
    screen.say(f"left out: {len(table) - len(kept)} images, by {exclude}")
    if unknown:
        screen.say(f"warning: {exclude} names {len(unknown)} images that are not in {table.root}: {listed(unknown)}")
    return kept


def without(table: Table, exclusions: Sequence[Exclusion]) -> tuple[Table, list[str]]:
    """The table without these images, and the paths of those that are not in it.

    Where an image stays in another row without a patient, it has the one of the row that goes.

    Raises:
        DataError: a bare name may be several images.
    """
    if not exclusions:
        return table, []
    named = _rows_by_name(table.paths)
    out: set[int] = set()
    unknown: list[str] = []
    for item in exclusions:
        rows = _find(item.path, named)
        if len(paths := sorted({table.paths[row] for row in rows})) > 1:
            raise DataError(f"{item.path} may be {listed(paths)}; write the path in the list of images to leave out")
        rows = [row for row in rows if item.split in ("", table.splits[row])]
        out.update(rows)
        unknown += [] if rows else [item.path]
    kept = table.take([row for row in range(len(table)) if row not in out])
    known = {table.paths[row]: table.groups[row] for row in out}
    groups = [group or known.get(path, "") for path, group in zip(kept.paths, kept.groups, strict=True)]
    return replace(kept, groups=tuple(groups)), unknown


def _rows_by_name(paths: Sequence[str]) -> list[dict[str, list[int]]]:
    """The rows that have a path, that have a file name, and that have a file name without its suffix."""
    levels: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(3)]
    for row, path in enumerate(paths):
        file = PurePosixPath(path)
        for level, key in zip(levels, (path, file.name, file.stem if is_image(file.name) else file.name), strict=True):
            level[key].append(row)
    return levels


def _find(wanted: str, named: list[dict[str, list[int]]]) -> list[int]:
    """The rows that an entry means: with a folder or a suffix it never means an image that has another."""
    path = wanted.removeprefix("./")
    levels = named[:1] if "/" in wanted else named[:2] if is_image(path) else named
    return next((level[path] for level in levels if path in level), [])
