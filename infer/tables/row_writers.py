"""Rows to CSV or Parquet files that appear whole or not at all."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from infer.core.csv_files import csv_line
from infer.core.errors import MissingExtraError
from infer.core.files import atomic_write

Cell = str | int | np.float32


ROWS = 10_000
"""Rows of a Parquet file that are written at once."""


Write = Callable[[Sequence[Cell]], object]


def writing(path: Path, header: Sequence[str]) -> AbstractContextManager[Write]:
    """`writing_csv`, or `writing_parquet` where the name ends so."""
    return writing_parquet(path, header) if is_parquet(path) else writing_csv(path, header)


def is_parquet(path: Path) -> bool:
    """Whether a file of this name is to be Parquet."""
    return path.suffix.lower() == ".parquet"


@contextmanager
def writing_csv(path: Path, header: Sequence[str]) -> Iterator[Write]:
    """Yield what writes a row; the file appears whole when the block ends well, or not at all. Raises OutputError."""
    with (
        atomic_write(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        file.write(csv_line(header))
        yield lambda row: file.write(csv_line(row))


def require_parquet(option: str, path: Path) -> None:
    """Raises MissingExtraError where a Parquet file is asked for and pyarrow, which writes it, is not installed."""
    if is_parquet(path):
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{option} {path} needs pyarrow, which is not installed; run pip install '.[parquet]' in lab's folder, "
                "or give a .csv"
            ) from error


@contextmanager
def writing_parquet(path: Path, header: Sequence[str]) -> Iterator[Write]:
    """`writing_csv` as Parquet: text as strings, probabilities as float32, marks as whole numbers."""
    import pyarrow.parquet

    waiting: list[Sequence[Cell]] = []
    writer: pyarrow.parquet.ParquetWriter | None = None
    with atomic_write(path) as draft:

        def flush() -> None:
            nonlocal writer
            table = _table(header, waiting)
            writer = writer or pyarrow.parquet.ParquetWriter(draft, table.schema)
            writer.write_table(table)
            waiting.clear()

        def write(row: Sequence[Cell]) -> None:
            waiting.append(row)
            if len(waiting) >= ROWS:
                flush()

        try:
            yield write
            if waiting:
                flush()
        finally:
            if writer is not None:
                writer.close()


def _table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> "pyarrow.Table":
    import pyarrow

    columns = []
    for column in zip(*rows, strict=True):
        if isinstance(column[0], str):  # a name whose bytes are no UTF-8 cannot be a string of Arrow's
            texts = [str(cell).encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in column]
            columns.append(pyarrow.array(texts, pyarrow.string()))
        else:
            kind = pyarrow.float32() if isinstance(column[0], np.float32) else pyarrow.int8()
            columns.append(pyarrow.array(column, kind))
    return pyarrow.table(columns, list(header))
