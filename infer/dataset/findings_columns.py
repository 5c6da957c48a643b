"""Columns that mark classes or findings with 1: one-hot tables, and tables of several findings an image."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.label_file import LabelFile

SURE_SEPARATORS = ("|", ";")
"""What separates several findings in one cell, whatever the other cells hold."""
SEPARATORS = (",", "+", "&", "/", " ")
"""What separates several findings in a cell where each of them is the label of another image."""


FINDING_STATES = {
    **dict.fromkeys(("1", "1.0", "True", "true", "TRUE"), 1),
    **dict.fromkeys(("0", "0.0", "False", "false", "FALSE", ""), 0),
    **dict.fromkeys(("-1", "-1.0"), -1),
}
"""Cells of a column that marks a finding, or a class of a one-hot table."""


@dataclass(frozen=True)
class CellFinding:
    """A finding that is looked for in the cells of a column, each of which may hold several."""

    column: str
    """The column's name in lower case."""
    finding: str
    separator: str
    """What separates findings in a cell."""

    def label_of(self, cell: str) -> str | None:
        """The label of an image by its cell: 1 with the finding, 0 without it, None where the cell is blank."""
        return str(int(self.finding in findings_of(cell, self.separator))) if cell else None


def is_finding_column(table: LabelFile, label: int) -> bool:
    """Whether a column holds 1 for a finding, and -1 or blank cells beside 0."""
    values = {row[label] for row in table.rows}
    if not values <= FINDING_STATES.keys():
        return False
    return any(FINDING_STATES[value] == 1 for value in values) and bool(values & {"", "-1", "-1.0"})


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
    row = next((row for row in table.rows if sum(states[row[position]] == 1 for position in binary) != 1), [])
    count = sum(states[row[position]] == 1 for position in binary) if row else 0
    if unsure or wrong > len(table.rows) // 50:
        example = table.header[marked[0]]
        seen = f": the row {listed(row, 4)} marks {count}" if row else ""
        raise DataError(
            f"{table.path} has several findings an image ({listed([table.header[p] for p in binary])}){seen}, and lab "
            f"trains on one label an image: choose one finding, for example --label-column {example!r}"
        )
    raise DataError(
        f"{table.path}: the row {listed(row, 4)} marks {count} classes with 1, and one-hot rows mark one; correct it"
    )


def one_hot_among_others(table: LabelFile, free: Sequence[int]) -> str:
    """Say which of the free columns look one-hot, and which stand beside them; "" where fewer than two do."""
    marks = [p for p in free if {FINDING_STATES.get(row[p], 2) for row in table.rows} == {0, 1}]
    if len(marks) < 2 or any(sum(FINDING_STATES[row[p]] for p in marks) != 1 for row in table.rows):
        return ""
    others = [table.header[p] for p in free if p not in marks]
    return f"; {listed([table.header[p] for p in marks])} look one-hot, without {listed(others)} they would be read so"


def refuse_several_findings(table: LabelFile, label: int) -> None:
    """Raises DataError for a label column with several findings in a cell."""
    separator = findings_separator(row[label] for row in table.rows)
    if separator:
        several = next(row[label] for row in table.rows if len(findings_of(row[label], separator)) > 1)
        example = findings_of(several, separator)[0]
        raise DataError(
            f"{table.path}: {table.header[label]} holds several findings an image, such as {several}, and lab trains "
            f"on one label an image: choose one finding, for example --label-column {example!r}"
        )


def findings_separator(cells: Iterable[str]) -> str:
    """What separates several findings in cells of labels; "" where each cell is one label.

    That is `|` or `;`, or a usual separator of which some cell consists of labels that other cells hold alone.
    """
    labels = set(cells)
    for separator in SURE_SEPARATORS:
        if any(len(findings_of(label, separator)) > 1 for label in labels):
            return separator
    for separator in SEPARATORS:
        parts = [findings_of(label, separator) for label in labels]
        alone = {own[0] for own in parts if len(own) == 1}
        if any(len(own) > 1 and alone.issuperset(own) for own in parts):
            return separator
    return ""


def findings_of(cell: str, separator: str) -> list[str]:
    """The findings in a cell, without the brackets and quotes of lists such as `['mass', 'edema']`."""
    plain = re.sub(r"""^\[|\]$""", "", cell)
    return [part for own in plain.split(separator) if (part := own.strip(" \"'"))]
