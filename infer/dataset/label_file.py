"""A labels table as rows of text: CSV or TSV with any usual delimiter, JSON lines, or Parquet."""

import re
from dataclasses import dataclass
from pathlib import Path

from infer.core.csv_files import require_file
from infer.core.errors import DataError, MissingExtraError
from infer.core.output_paths import FILE_SUFFIXES
from infer.core.parse import parse_json
from infer.core.text import listed
from infer.dataset.delimited import counts_up, line_of_row, read_delimited

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

    def require_one_header(self) -> None:
        """Raise DataError where a row repeats the header, as in files that were appended to each other."""
        if self.header in self.rows:
            line = line_of_row(self.path, self.header, 1)
            raise DataError(f"{self.path}, line {line}: the header {listed(self.header)} again; remove that line")


def read_label_file(path: Path) -> LabelFile:
    """Read a labels table whose first line, or whose keys, name the columns; cells are stripped, blank lines skipped.

    An index column in front, which counts the rows and has no name, is dropped, as pandas and R write it.

    Raises:
        DataError: there is no such file, it is no table, a row does not have as many cells as the header, or a quote
            is not closed where it should be; the line is named.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    require_file(path)
    suffix = path.suffix.lower()
    if suffix in FILE_SUFFIXES.difference(SUFFIXES):
        raise DataError(f"{path} is not a table that lab reads; save it as CSV, TSV, JSON lines or Parquet")
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
    lines = read_delimited(path)
    if lines and lines[0] == ["sep=", ""]:  # tells Excel the delimiter, which the reader took from it as well
        lines = lines[1:]
    if not lines:
        return [], []
    header, rows = lines[0], lines[1:]
    while len(header) > 1 and not header[-1] and all(len(row) < len(header) or not row[-1] for row in rows):
        header.pop()  # a trailing delimiter
    if any(len(row) != len(header) for row in rows):
        rows = _fit_rows(path, header, rows)
    return header, rows


def _fit_rows(path: Path, header: list[str], rows: list[list[str]]) -> list[list[str]]:
    """The rows without an index column that the header does not name, or empty cells beyond the header."""
    width = len(header)
    if len(rows) > 1 and all(len(row) == width + 1 for row in rows) and counts_up([row[0] for row in rows]):
        return [row[1:] for row in rows]
    for row in rows:
        if len(row) < width or any(row[width:]):
            hint = "put quotes around values that hold the delimiter" if len(row) > width else "complete the row"
            line = line_of_row(path, row)
            raise DataError(f"{path}, line {line}: {len(row)} values for the {width} columns of the header; {hint}")
    return [row[:width] for row in rows]


def _read_json_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """One JSON object a line, as Hugging Face's metadata.jsonl."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            records = [(number, parse_json(line)) for number, line in enumerate(lines, 1) if line.strip()]
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
