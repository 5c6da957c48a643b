"""The rows of a labels table as names, labels, groups and splits of images."""

import re
from collections.abc import Callable, Container
from dataclasses import dataclass, replace

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.columns import ColumnNames, Columns, find_columns
from infer.dataset.findings_columns import FINDING_STATES, CellFinding
from infer.dataset.folder_names import SPLIT_NAMES
from infer.dataset.label_file import LabelFile
from infer.dataset.table import VALID

SPLIT_VALUES = {**SPLIT_NAMES, VALID: (*SPLIT_NAMES[VALID], "dev")}
PRESENT, ABSENT = "1", "0"
FINDING_LABELS = {1: PRESENT, 0: ABSENT, -1: None}
"""Labels of a finding by what its cells mean (see FINDING_STATES)."""


@dataclass(frozen=True)
class LabelledNames:
    """What a labels table says of images; all lists are of one length, n, but for `splits`."""

    names: list[str]
    labels: list[str | None]
    """None where the label is not known."""
    groups: list[str]
    """The patient, "" where not known."""
    splits: list[str] | None
    """train, valid or test; None where the table does not tell."""
    summary: str
    """For people: which columns were read, and how many rows have no certain label."""
    label_column: str = ""
    """The column of the labels; "" where they are one-hot or there are none."""
    is_finding: bool = False
    """Whether that column is a finding of 1, 0, -1 and blank that the user chose."""
    finding: CellFinding | None = None
    """The finding that the user chose among several in the cells of that column."""


def read_labelled(
    table: LabelFile,
    chosen: ColumnNames,
    is_image: Callable[[str], bool],
    needs_label: bool = True,
    never_findings: Container[str] = (),
    always_findings: Container[str] = (),
    finding: CellFinding | None = None,
) -> LabelledNames:
    """Read the images that a table names with what it says of them.

    A column of a finding (1, 0, -1 and blank cells, as CheXpert has them) follows CheXpert's reading: blank is not
    mentioned and counts as 0, -1 is uncertain and has no label. In the columns `never_findings` blank is not known; the
    columns `always_findings` are findings in other tables of the set, so that 1.0 is 1 here too. `finding` is looked
    for in the cells of other tables of the set.

    Raises:
        DataError: as `find_columns`; or a row repeats the header, or a split is none that is known.
    """
    columns = find_columns(table, chosen, is_image, needs_label, finding)
    table.require_one_header()
    label_column = "" if columns.label is None else table.header[columns.label]
    if label_column in never_findings:
        columns = replace(columns, is_finding=False)
    elif label_column and label_column in always_findings:
        columns = replace(columns, is_finding=True)
    labels = _labels(table, columns)
    note = ""
    if columns.is_finding:
        note = f"; blank cells count as 0 (not mentioned), {labels.count(None)} rows of -1 (uncertain) have no label"
    return LabelledNames(
        names=table.column(columns.image),
        labels=labels,
        groups=_groups(table, columns),
        splits=_splits(table, columns),
        summary=f"{table.path.name}: {columns.describe(table.header)}{note}",
        label_column=label_column,
        is_finding=columns.is_finding,
        finding=columns.finding,
    )


def _labels(table: LabelFile, columns: Columns) -> list[str | None]:
    if columns.one_hot:
        classes = [table.header[position] for position in columns.one_hot]
        return [classes[[FINDING_STATES[row[p]] for p in columns.one_hot].index(1)] for row in table.rows]
    if columns.label is None:
        return [None] * len(table.rows)
    cells = table.column(columns.label)
    if columns.finding:
        return list(map(columns.finding.label_of, cells))
    if columns.is_finding:
        if strange := sorted(set(cells) - FINDING_STATES.keys()):
            raise DataError(
                f"{table.path}: {table.header[columns.label]} has the cells {listed(strange)}, and a finding is 1, 0, "
                "-1 or blank; correct them, or name another --label-column"
            )
        return [FINDING_LABELS[FINDING_STATES[cell]] for cell in cells]
    return [cell or None for cell in cells]


def _groups(table: LabelFile, columns: Columns) -> list[str]:
    if columns.group is None:
        return [""] * len(table.rows)
    cells = table.column(columns.group)
    if not columns.group_pattern:
        return cells
    found = [re.search(columns.group_pattern, cell) for cell in cells]
    return [match[1] if match else cell for match, cell in zip(found, cells, strict=True)]


def _splits(table: LabelFile, columns: Columns) -> list[str] | None:
    if columns.split is None:
        return None
    known = {value: split for split, values in SPLIT_VALUES.items() for value in values}
    cells = table.column(columns.split)
    if strange := sorted({cell or "(empty)" for cell in cells if cell.lower() not in known}):
        raise DataError(
            f"{table.path}: {table.header[columns.split]} has the values {listed(strange)}, and a split is train, "
            "valid or test; correct them, or name another --split-column"
        )
    return [known[cell.lower()] for cell in cells]
