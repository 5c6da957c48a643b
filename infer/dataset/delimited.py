"""Lines of text with delimiters, as CSV and TSV files hold them; what is wrong with a quote is named with its line."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from infer.core.csv_files import require_file
from infer.core.errors import DataError
from infer.core.formulas import unguarded
from infer.core.text import listed

DELIMITERS = (",", ";", "\t")


def read_delimited(path: Path) -> list[list[str]]:
    """Read all lines that hold anything as cells, stripped; a quoted cell may hold several lines.

    The apostrophe is taken off that `csv_line` puts before a formula.

    Raises:
        DataError: there is no such file, it is no text, or a quote is not closed where it should be.
    """
    try:
        require_file(path)
        with _open(path) as text:
            delimiter = _delimiter(path, text)
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            try:
                rows = [[unguarded(cell.strip()) for cell in row] for row in reader]
            except csv.Error as error:
                raise DataError(f"{path}, line {_line_of_error(path, delimiter)}: {_quote_problem(error)}") from error
            has_line_breaks = reader.line_num > len(rows)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    if any("\0" in cell for row in rows[:100] for cell in row):
        raise DataError(f"{path} is not a text table: it holds NUL bytes; save it as CSV in UTF-8")
    rows = [row for row in rows if any(row)]
    if has_line_breaks:
        _require_no_swallowed_rows(path, delimiter, rows)
    return rows


def read_column(path: Path) -> list[str]:
    """Read a file of one value per line and no header; an index column in front, as pandas writes it, is dropped.

    Raises:
        DataError: it cannot be read, or a line has several values.
    """
    rows = read_delimited(path)
    if rows and all(len(row) == 2 for row in rows):
        named = not rows[0][0]
        if counts_up([row[0] for row in rows[named:]]):
            return [row[1] for row in rows[named:]]
    several = next((row for row in rows if any(row[1:])), None)
    if several is not None:
        raise DataError(
            f"{path}, line {line_of_row(path, several)}: {len(several)} values, {listed(several)}; "
            "write one value per line, in quotes where it holds a comma"
        )
    return [row[0] for row in rows]


def read_first_line(path: Path) -> str:
    """Return the first line that holds anything; "" if there is none. Raises OSError."""
    with _open(path) as text:
        return next((line.strip() for line in text if line.strip()), "")


def cells_of(line: str) -> list[str]:
    """Return the cells of one line, stripped, whichever usual delimiter separates them; none where it is no CSV."""
    try:
        rows = list(csv.reader([line], delimiter=_most_frequent_delimiter(line)))
    except csv.Error:
        return []
    return [unguarded(cell.strip()) for row in rows for cell in row]


def counts_up(values: Sequence[str]) -> bool:
    """Whether the values are 0, 1, 2, ... or 1, 2, 3, ..."""
    return any(
        list(values[:1]) == [str(start)] and all(value == str(start + row) for row, value in enumerate(values))
        for start in (0, 1)
    )


def line_of_row(path: Path, row: Sequence[str], after: int = 0) -> int:
    """Return the line at which the first row with these cells begins, of those after the first `after` rows."""
    line, seen = 1, 0
    with _open(path) as text:
        reader = csv.reader(text, delimiter=_delimiter(path, text))
        for cells in reader:
            stripped = [unguarded(cell.strip()) for cell in cells]
            if seen >= after and stripped == list(row):
                break
            seen += any(stripped)
            line = reader.line_num + 1
    return line


def _open(path: Path) -> TextIO:
    return path.open(newline="", encoding="utf-8-sig", errors="surrogateescape")


def _delimiter(path: Path, text: TextIO) -> str:
    """The character that separates the cells of the first line: the most frequent outside quotes."""
    first = next((line for line in text if line.strip()), "")
    text.seek(0)
    return "\t" if path.suffix.lower() in (".tsv", ".tab") else _most_frequent_delimiter(first)


def _most_frequent_delimiter(line: str) -> str:
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=unquoted.count)


def _quote_problem(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quote is opened here and never closed, so all that follows is one cell; close every quote"
    if "expected after" in str(error):
        return 'text follows a closing quote; write a quote inside a cell as "", or remove it'
    return f"{error}; save it as CSV again"


def _line_of_error(path: Path, delimiter: str) -> int:
    """Return the line at which the row begins that a strict reader refuses."""
    line = 1
    with _open(path) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error:
            return line
    return line


def _require_no_swallowed_rows(path: Path, delimiter: str, rows: Sequence[Sequence[str]]) -> None:
    """Raise DataError for a cell that holds rows, as a quote makes it that is closed too late.

    A line within a cell passes for a row where it has as many cells as the first line, and no space in its first.
    """
    for row in rows:
        for lines in [cell.splitlines()[1:] for cell in row if "\n" in cell]:
            pieces = csv.reader(lines, delimiter=delimiter)
            if any(len(piece) == len(rows[0]) and " " not in piece[0] for piece in pieces):
                raise DataError(
                    f"{path}, line {line_of_row(path, row)}: a quoted cell holds other rows, as {lines[0]}; close its "
                    "quote, or remove it"
                )
