"""Writers of rows to CSV and Parquet files, which appear whole or not at all."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infer.core.csv_files import csv_line
from infer.core.errors import MissingExtraError
from infer.core.file_sets import FileSet
from infer.core.files import cannot_write
from infer.core.output_paths import suffix_of

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

Cell = str | int | np.float32
ROW_GROUP = 10_000
"""Rows that are written to a Parquet file at once."""


class RowWriter(ABC):
    """Writes rows of cells to a file."""

    @abstractmethod
    def __init__(self, path: Path, header: Sequence[str], raw: bool = False) -> None:
        """Open a file and begin with its header.

        Args:
            path: the file.
            header: the columns' names.
            raw: keep text in a CSV as it is that a spreadsheet may run as a formula.
        """

    @abstractmethod
    def write(self, row: Sequence[Cell]) -> None:
        """Write one row. Raises OSError."""

    @abstractmethod
    def close(self) -> None:
        """Write what still waits, and close the file. Raises OSError."""


class CsvWriter(RowWriter):
    """Writes UTF-8 CSV; bytes of a name that are no UTF-8 are kept."""

    def __init__(self, path: Path, header: Sequence[str], raw: bool = False) -> None:
        self._file, self._raw = path.open("w", newline="", encoding="utf-8", errors="surrogateescape"), raw
        self.write(header)

    def write(self, row: Sequence[Cell]) -> None:
        """Write one row. Raises OSError."""
        self._file.write(csv_line(row, self._raw))

    def close(self) -> None:
        """Close the file. Raises OSError."""
        self._file.close()


class ParquetWriter(RowWriter):
    """Writes Parquet: text as strings, probabilities as float32, the column `reject` as int8."""

    def __init__(self, path: Path, header: Sequence[str], raw: bool = True) -> None:
        self._file, self._header = path.open("wb"), header
        self._waiting: list[Sequence[Cell]] = []
        self._writer: pyarrow.parquet.ParquetWriter | None = None

    def write(self, row: Sequence[Cell]) -> None:
        """Write one row. Raises OSError."""
        self._waiting.append(row)
        if len(self._waiting) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what still waits, and close the file. Raises OSError."""
        try:
            if self._waiting:
                self._flush()
        finally:
            with self._file:
                if self._writer is not None:
                    self._writer.close()

    def _flush(self) -> None:
        import pyarrow.parquet

        table = _table(self._header, self._waiting)
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)
        self._waiting.clear()


def writer_for(path: Path) -> type[RowWriter]:
    """ParquetWriter where the name ends in .parquet, otherwise CsvWriter."""
    return ParquetWriter if is_parquet(path) else CsvWriter


@contextlib.contextmanager
def open_writer(
    writer: type[RowWriter], files: FileSet, path: Path, header: Sequence[str], raw: bool = False
) -> Iterator[RowWriter]:
    """Yield a writer of a file that appears with its set; `raw` as in `RowWriter`.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with contextlib.closing(writer(files.draft(path), header, raw)) as opened:
            yield opened
    except OSError as error:
        raise cannot_write(path, error) from error


def is_parquet(path: Path) -> bool:
    """Whether a file of this name is written as Parquet."""
    return suffix_of(path) == ".parquet"


def require_parquet(option: str, path: Path) -> None:
    """Raises MissingExtraError where an option names a Parquet file and pyarrow, which writes it, is not installed."""
    if is_parquet(path):
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{option} {path} needs pyarrow, which is not installed; run pip install '.[parquet]' in lab's folder, "
                "or give a .csv"
            ) from error


def _table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> "pyarrow.Table":
    import pyarrow

    columns = []
    for column in zip(*rows, strict=True):
        if isinstance(column[0], str):  # Arrow's strings are UTF-8; a name may hold other bytes
            texts = [str(cell).encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in column]
            columns.append(pyarrow.array(texts, pyarrow.string()))
        else:
            kind = pyarrow.float32() if isinstance(column[0], np.float32) else pyarrow.int8()
            columns.append(pyarrow.array(column, kind))
    return pyarrow.table(columns, list(header))
