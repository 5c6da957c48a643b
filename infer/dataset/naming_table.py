"""Find the table beside a folder's images that names them, where a set has one that is not lab's."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infer.core.formulas import unguarded
from infer.core.parse import parse_json
from infer.images.listing import is_image
from infer.images.skipped import folder_reason, is_own_output

MOST_ROWS = 200_000
"""Rows of a table in which images are looked for."""
OWN_TABLES = ("classes.csv", "exclude.csv")
"""Tables in a data folder that give no labels to images."""
PREDICTED = ("ID", "label")
"""The header of a table that lab predict wrote."""
SUBGROUPS = 20
"""Values of a column that may be finer classes than the folders."""


@dataclass(frozen=True)
class NamingTable:
    """A table that names images."""

    file: Path
    column: str
    contradicts: bool
    """Whether it has columns that may be labels, of which none agrees with the images' folders."""


def naming_table(folder: Path, paths: Sequence[str]) -> NamingTable | None:
    """Find a table in a data folder, or in a folder of tables below it, that names at least half of the images.

    Args:
        folder: the data folder.
        paths: of the images; the first folder of each is its class. Images of one name in two classes do not count.
    """
    tables = sorted(_tables_near(folder))
    if not tables:
        return None
    classes: dict[str, str] = {}
    for path in paths:
        stem, name = _stem(path), path.partition("/")[0]
        classes[stem] = name if classes.get(stem, name) == name else ""
    for file in tables:
        header, *rows = list(_rows_of(file)) or [[]]
        rows = [row for row in rows if len(row) == len(header)]
        for column, name in enumerate(header if tuple(header[:2]) != PREDICTED else ()):
            known = {stem: row for row in rows if classes.get(stem := _stem(row[column]))}
            if len(known) > 1 and 2 * len(known) >= min(len(paths), MOST_ROWS):
                pairs = [
                    {(row[other], classes[stem]) for stem, row in known.items()}
                    for other in range(len(header))
                    if other != column
                ]
                return NamingTable(file, name or f"number {column + 1}", _contradict(pairs, len(known)))
    return None


def _contradict(columns: Sequence[set[tuple[str, str]]], count: int) -> bool:
    """Whether some of the columns, as pairs of value and folder, may be labels of `count` images, and none agrees."""
    agreements = []
    for pairs in columns:
        values, folders = {value for value, _ in pairs}, {folder for _, folder in pairs}
        if 1 < len(values) <= max(2, count // 2):
            one_folder_each = len(pairs) == len(values)
            agreements.append(one_folder_each and len(values) <= max(len(folders), SUBGROUPS))
    return bool(agreements) and not any(agreements)


def _tables_near(folder: Path) -> Iterator[Path]:
    """Yield the tables in a folder, and in those of its folders that hold no images."""
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir():
            if _is_table(entry.name):
                yield entry
        elif folder_reason(entry.name) is None:
            yield from _tables_alone(entry)


def _tables_alone(folder: Path) -> list[Path]:
    """Return the tables of a folder that holds no images and is not lab's own."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_image(entry.name):
                return []
            names.append(entry.name)
    return [] if is_own_output(folder.name, names) else [folder / name for name in sorted(names) if _is_table(name)]


def _is_table(name: str) -> bool:
    plain = name.lower()
    if "submission" in plain or plain in OWN_TABLES or plain.endswith(".bad.csv"):
        return False
    return plain.endswith((".csv", ".tsv", ".tab", ".txt", ".jsonl"))


def _rows_of(file: Path) -> Iterator[list[str]]:
    """Yield the first rows of a table, whatever separates its cells; none where it cannot be read as text."""
    if file.suffix.lower() == ".jsonl":
        yield from _records_of(file)
        return
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as text:
            first = text.readline()
            text.seek(0)
            delimiter = max(",;\t " if file.suffix.lower() == ".txt" else ",;\t", key=first.count)
            for row, _ in zip(csv.reader(text, delimiter=delimiter), range(MOST_ROWS), strict=False):
                yield [unguarded(cell.strip()) for cell in row]
    except (OSError, csv.Error):
        return


def _records_of(file: Path) -> Iterator[list[str]]:
    """Yield the keys of the first JSON object of a file, then the values of the first objects that have these keys."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            records = [parse_json(line) for line, _ in zip(lines, range(MOST_ROWS), strict=False) if line.strip()]
    except (OSError, ValueError):
        return
    header = list(records[0]) if records and isinstance(records[0], dict) else []
    yield header
    for record in records:
        if isinstance(record, dict) and list(record) == header:
            yield [str(value) for value in record.values()]


def _stem(path: str) -> str:
    """Return a file's name without its folder and the suffix of an image."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return os.path.splitext(name)[0] if is_image(name) else name
