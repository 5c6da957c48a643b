"""A labels table as rows of text: CSV or TSV with any usual delimiter, JSON lines, or Parquet."""

import csv
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infer.core.errors import DataError, MissingExtraError
from infer.core.text import listed

if TYPE_CHECKING:
    import _csv

DELIMITERS = (",", ";", "\t")
SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".parquet")
"""Files that can be a labels table."""
UNNAMED = re.compile(r"(Unnamed: \d+)?")
"""The header of an index column that pandas wrote."""


@dataclass(frozen=True)
class LabelFile:
    """A table of text: a header and rows of the same length."""

    path: Path
    header: list[str]
    rows: list[list[str]]

    def column(self, position: int) -> list[str]:
        """The values of one column, [n]."""
        return [row[position] for row in self.rows]


def read_label_file(path: Path) -> LabelFile:
    """Read a labels table whose first line, or whose keys, name the columns; cells are stripped, blank lines skipped.

    An index column that pandas wrote in front (without a name, counting rows) is dropped.

    Raises:
        DataError: there is no such file, it is no table, or a row does not have as many cells as the header.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        header, rows = _read_parquet(path)
    elif suffix in (".jsonl", ".ndjson"):
        header, rows = _read_json_lines(path)
    else:
        header, rows = _read_delimited(path)
    if header and UNNAMED.fullmatch(header[0]) and all(row[0].isdigit() for row in rows):
        header, rows = header[1:], [row[1:] for row in rows]
    return LabelFile(path, header, rows)


def _read_delimited(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            first = next((line for line in lines if line.strip()), "")
            reader = csv.reader(itertools.chain([first], lines), delimiter=_delimiter(path, first), strict=True)
            rows = list(_rows(path, reader))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file: {error}; close every quote, and save it as CSV again") from error
    return (rows[0], rows[1:]) if rows else ([], [])


def _delimiter(path: Path, header: str) -> str:
    """The character that separates the names of the first line: the most frequent outside quotes."""
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=unquoted.count)


def _rows(path: Path, reader: "_csv.Reader") -> Iterator[list[str]]:
    width, read = 0, 0
    for row in reader:
        line, read = read + 1, reader.line_num  # a quoted cell may hold several lines
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if any("\0" in cell for cell in cells):
            raise DataError(f"{path} is not a text table: it holds NUL bytes; save it as CSV in UTF-8")
        width = width or len(cells)
        while len(cells) > width and not cells[-1]:  # a trailing delimiter
            cells.pop()
        if len(cells) != width:
            hint = "put quotes around values that hold the delimiter" if len(cells) > width else "complete the row"
            raise DataError(f"{path}, line {line}: {len(cells)} values for the {width} columns of the header; {hint}")
        yield cells


def _read_json_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """One JSON object a line, as Hugging Face's metadata.jsonl."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            records = [(number, json.loads(line)) for number, line in enumerate(lines, 1) if line.strip()]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON lines: {error}; write one JSON object a line") from error
    header = list(records[0][1]) if records and isinstance(records[0][1], dict) else []
    for number, record in records:
        if not isinstance(record, dict) or list(record) != header:
            keys = listed(list(record)) if isinstance(record, dict) else "no object"
            raise DataError(
                f"{path}, line {number}: has {keys}, the first line {listed(header)}; give all lines the same keys"
            )
    return header, [[cell_text(value) for value in record.values()] for _, record in records]


def _read_parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path} needs pyarrow, which is not installed; run pip install '.[parquet]' in lab's folder, or give a CSV"
        ) from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        what = str(error).partition("\n")[0]
        raise DataError(f"{path} is not a Parquet file: {what}; write it again") from error
    columns = [[cell_text(value) for value in column.to_pylist()] for column in table.columns]
    return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]


def cell_text(value: object) -> str:
    """A value as the same table would hold it as CSV."""
    if value is None or value != value:  # no value, or not a number, which pandas writes as an empty cell
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else str(value)
