"""CSV files: cells are read as text, and written so that any CSV reader understands and no spreadsheet runs them."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from infer.core.errors import DataError
from infer.core.formulas import guarded, unguarded

QUOTED = re.compile(r'[",\r\n]')
"""What a cell is quoted for."""


def require_file(path: Path) -> None:
    """Raise DataError for a device or a pipe, which may have no end; that nothing is there is not looked for."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path} is a device or a pipe; write its content into a file, and give that")


def read_csv(path: Path, strip: bool = True) -> list[list[str]]:
    """The rows of a CSV as text, without blank lines; a byte-order mark and CR LF are accepted.

    Spaces around a cell are stripped, unless `strip` is false. Bytes that are not UTF-8 become surrogates. `csv_line`'s
    apostrophe before a formula is taken off.

    Raises:
        DataError: the file does not exist, cannot be read, or is not text.
    """
    try:
        require_file(path)
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            rows = [[unguarded(cell.strip() if strip else cell) for cell in row] for row in csv.reader(lines)]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV: {error}; save it as comma-separated text") from error
    if any("\0" in cell for row in rows[:100] for cell in row):
        raise DataError(f"{path} is not a CSV: it contains NUL bytes; save it as comma-separated text in UTF-8")
    return [row for row in rows if any(row)]


def csv_line(row: Sequence[object], raw: bool = False) -> str:
    """A row as CSV, ended by a line feed. Cells with a quote, a comma, CR or LF are quoted.

    Text that a spreadsheet may run as a formula gets an apostrophe in front, unless `raw`.
    """
    cells = row if raw else [guarded(cell) if isinstance(cell, str) else cell for cell in row]
    if len(cells) > 1 and all(isinstance(cell, str) and not QUOTED.search(cell) for cell in cells):
        return ",".join(map(str, cells)) + "\n"  # as the writer has it, in a third of its time
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # the writer quotes characters of its terminator: CR and LF
    return text.getvalue()[:-2] + "\n"


def csv_text(rows: Sequence[Sequence[object]], raw: bool = False) -> str:
    """Rows as CSV text; cells as in `csv_line`."""
    return "".join(csv_line(row, raw) for row in rows)
