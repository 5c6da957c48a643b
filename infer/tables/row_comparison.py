"""Compares two files of predictions, CSV or Parquet, row for row."""

import csv
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from infer.core.errors import DataError
from infer.tables.row_writers import is_parquet


@dataclass
class RowDifferences:
    """How far the rows of two files differ."""

    rows: tuple[int, int] = (0, 0)
    """The number of rows in each file."""
    other_header: bool = False
    names: int = 0
    """Rows that are of other images."""
    labels: int = 0
    """Rows of one image with another label or mark."""
    probabilities: int = 0
    """Rows of one image with other probabilities."""
    largest: float = 0.0
    """The largest difference of a probability; infinite where one is no number."""
    first: str = ""
    """The image of the first row that differs."""

    def __bool__(self) -> bool:
        return self.rows[0] != self.rows[1] or self.other_header or bool(self.first)

    def text(self) -> str:
        """The differences in words; "" where there are none."""
        before, now = self.rows
        parts = [f"{now} rows instead of {before}"] if before != now else []
        parts += ["another header"] if self.other_header else []
        parts += [f"{self.names} of {before} rows are of other images"] if self.names else []
        parts += [f"{self.labels} of {before} rows have another label"] if self.labels else []
        if self.probabilities:
            parts.append(f"{self.probabilities} of {before} rows have other probabilities, by up to {self.largest:.3g}")
        return ", ".join(parts) + (f"; the first row that differs is {self.first}" if self.first else "")


def compare_rows(before: Path, now: Path, probability_columns: Collection[int]) -> RowDifferences:
    """Compare two files whose first column names the image.

    Args:
        before: the first file.
        now: the other one.
        probability_columns: the columns to compare as numbers, counted from 0; the others are compared as text.

    Raises:
        DataError: a file cannot be read.
    """
    found, (old_rows, new_rows) = RowDifferences(), (_rows(before), _rows(now))
    found.other_header = next(old_rows, []) != next(new_rows, [])
    counts = [0, 0]
    for old, new in zip_longest(old_rows, new_rows):
        counts = [counts[0] + (old is not None), counts[1] + (new is not None)]
        if old != new:
            _compare(old, new, probability_columns, found)
    found.rows = (counts[0], counts[1])
    return found


def _compare(
    old: Sequence[str] | None, new: Sequence[str] | None, probability_columns: Collection[int], found: RowDifferences
) -> None:
    """Count what differs in one row."""
    present = old or new or [""]
    found.first = found.first or present[0] or "a row without a name"
    if old is None or new is None:
        return
    if old[:1] != new[:1] or len(old) != len(new):
        found.names += 1
        return
    differing = [column for column in range(1, len(old)) if old[column] != new[column]]
    numbers = [column for column in differing if column in probability_columns]
    found.labels += len(numbers) < len(differing)
    found.probabilities += bool(numbers)
    found.largest = max([found.largest, *(_distance(old[column], new[column]) for column in numbers)])


def _distance(old: str, new: str) -> float:
    distance = abs(_number(old) - _number(new))
    return math.inf if math.isnan(distance) else distance


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _rows(path: Path) -> Iterator[list[str]]:
    """The header and the rows as text. Raises DataError."""
    try:
        yield from _parquet_rows(path) if is_parquet(path) else _csv_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); predict again") from error


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        yield from csv.reader(lines)


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        yield list(file.schema_arrow.names)
        for batch in file.iter_batches():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield list(map(str, row))
