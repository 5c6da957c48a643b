"""Columns that mark classes or findings with 1: one-hot tables, and tables of several findings an image."""

from collections import Counter

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.label_file import LabelFile

MULTI_LABEL = "|"
"""What separates several findings in one cell."""


FINDING_STATES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "": 0, "-1": -1, "-1.0": -1}
"""Cells of a column that marks a finding, or a class of a one-hot table."""


def is_finding_column(table: LabelFile, label: int) -> bool:
    """Whether a column holds 1 for a finding, and -1 or blank cells beside 0."""
    values = {row[label] for row in table.rows}
    return bool(values & {"1", "1.0"} and values & {"", "-1", "-1.0"} and values <= FINDING_STATES.keys())


def one_hot_columns(table: LabelFile, free: list[int]) -> tuple[int, ...]:
    """The columns of a one-hot table, () where these are none.

    Raises DataError where they are columns of findings, of which an image may have several or none.
    """
    states = FINDING_STATES
    if len(free) < 2 or not table.rows:
        return ()
    binary = [position for position in free if all(row[position] in states for row in table.rows)]
    marked = [position for position in binary if any(states[row[position]] for row in table.rows)]
    if len(marked) < 2:
        return ()
    ones = Counter(sum(states[row[position]] == 1 for position in binary) for row in table.rows)
    unsure = any(row[position] in ("", "-1", "-1.0") for row in table.rows for position in binary)
    wrong = len(table.rows) - ones[1]
    if not wrong and not unsure:
        return tuple(binary) if len(binary) == len(free) else ()
    if unsure or wrong > len(table.rows) // 50:
        example = table.header[marked[0]]
        raise DataError(
            f"{table.path} has several findings an image ({listed([table.header[p] for p in binary])}), and lab trains "
            f"on one label an image: choose one finding, for example --label-column {example!r}"
        )
    row = next(row for row in table.rows if sum(states[row[position]] == 1 for position in binary) != 1)
    count = sum(states[row[position]] == 1 for position in binary)
    raise DataError(
        f"{table.path}: the row {listed(row, 4)} marks {count} classes with 1, and one-hot rows mark one; correct it"
    )


def refuse_several_findings(table: LabelFile, label: int) -> None:
    """Raises DataError for a label column with several findings in a cell."""
    several = next((row[label] for row in table.rows if MULTI_LABEL in row[label]), None)
    if several is not None:
        example = several.split(MULTI_LABEL)[0]
        raise DataError(
            f"{table.path}: {table.header[label]} holds several findings an image, such as {several}, and lab trains "
            f"on one label an image: choose one finding, for example --label-column {example!r}"
        )
