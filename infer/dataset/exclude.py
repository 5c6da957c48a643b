"""Lists of images to leave out: CSV files of Path, split and reason, which `lab data check` writes and people edit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from infer.config import LabelOptions
from infer.core.console import Screen
from infer.core.csv_files import csv_text, read_csv
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.source import find_source, read_source
from infer.dataset.table import Table
from infer.dataset.validation import check_listed
from infer.images.listing import is_image

HEADER = ("Path", "split", "reason")


@dataclass(frozen=True)
class Exclusion:
    """One image to leave out."""

    path: str
    """As in the data set's table, or a file name with or without its suffix where only one image has it."""
    split: str = ""
    """The split in which it is left out; "" for all splits."""
    reason: str = ""
    """Why it is left out, in words."""


def exclusions_text(exclusions: Iterable[Exclusion]) -> str:
    """The content of a list that `read_exclusions` reads."""
    return csv_text([HEADER, *((item.path, item.split, item.reason) for item in exclusions)])


def read_exclusions(file: Path) -> list[Exclusion]:
    """Read a list: rows of path, split and reason, or one path per line; a first line that begins `Path` is a header.

    Raises:
        DataError: the file cannot be read.
    """
    rows = read_csv(file, strip=False)
    if rows and rows[0][0].strip().lower() == HEADER[0].lower():
        rows = rows[1:]
    return [Exclusion(*[*row, "", ""][:3]) for row in rows if row[0]]


def read_without_excluded(
    data: Path | None, options: LabelOptions, fold: int | None, exclude: Path | None, screen: Screen
) -> Table:
    """Read and check a data set without the images of the list `exclude`; print how many it leaves out.

    Args:
        data: a folder, a labels table or a dataset card; None where `options` name a table.
        options: --labels, --images and the columns.
        fold: C-NMC's validation fold; 2 if None.
        exclude: a list that `lab data check` or a person wrote; None: no list.
        screen: where it prints.

    Raises:
        DataError: the data set or the list cannot be read, no image is left, or images or labels are missing.
    """
    table, missing = read_source(find_source(data, options), fold, screen)
    table = without_excluded(table, exclude, screen)
    check_listed(table, missing)
    return table


def without_excluded(table: Table, exclude: Path | None, screen: Screen) -> Table:
    """Return the table without the images of a list; print how many it leaves out, and which are not in the table.

    Raises:
        DataError: the list cannot be read, or no image is left.
    """
    if not exclude:
        return table
    kept, unknown = remove(table, read_exclusions(exclude))
    if len(table) and not len(kept):
        raise DataError(f"{exclude} leaves out all {len(table)} images of {table.source}; shorten it")
    screen.say(f"left out: {len(table) - len(kept)} images, listed in {exclude}")
    if unknown:
        screen.say(f"warning: {exclude} names {len(unknown)} images that are not in {table.source}: {listed(unknown)}")
    return kept


def remove(table: Table, exclusions: Sequence[Exclusion]) -> tuple[Table, list[str]]:
    """Return the table without these images, and the paths of the list that are not in the table.

    An image that stays in another row, which has no patient, gets the patient of the row that is removed.

    Raises:
        DataError: a file name may be several images.
    """
    if not exclusions:
        return table, []
    rows_by_name = _rows_by_name(table.paths)
    removed: set[int] = set()
    unknown: list[str] = []
    for item in exclusions:
        rows = _find(item.path, rows_by_name)
        if len(paths := sorted({table.paths[row] for row in rows})) > 1:
            raise DataError(f"{item.path} may be {listed(paths)}; write the path in the list of images to leave out")
        rows = [row for row in rows if item.split in ("", table.splits[row])]
        removed.update(rows)
        unknown += [] if rows else [item.path]
    kept = table.take([row for row in range(len(table)) if row not in removed])
    removed_groups = {table.paths[row]: table.groups[row] for row in removed}
    groups = [group or removed_groups.get(path, "") for path, group in zip(kept.paths, kept.groups, strict=True)]
    return replace(kept, groups=tuple(groups)), unknown


def _rows_by_name(paths: Sequence[str]) -> list[dict[str, list[int]]]:
    """Return three dictionaries: the rows of each path, of each file name, and of each file name without its suffix."""
    levels: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(3)]
    for row, path in enumerate(paths):
        file = PurePosixPath(path)
        for level, key in zip(levels, (path, file.name, file.stem if is_image(file.name) else file.name), strict=True):
            level[key].append(row)
    return levels


def _find(name: str, rows_by_name: list[dict[str, list[int]]]) -> list[int]:
    """Return the rows that an entry means; one with a folder or a suffix never means an image with another."""
    path = name.removeprefix("./")
    levels = rows_by_name[:1] if "/" in name else rows_by_name[:2] if is_image(path) else rows_by_name
    return next((level[path] for level in levels if path in level), [])
