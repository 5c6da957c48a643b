"""The rows that readers of data-set layouts collect, and the Table made of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_labels import sorted_labels
from infer.dataset.columns import ColumnNames
from infer.dataset.label_file import read_label_file
from infer.dataset.locate import ImageIndex, Missing
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table
from infer.images.skipped import UNLISTED, Skipped
from infer.model.card import ClassName

CLASS_NAMES = "classes.csv"
"""The file in a data folder that gives classes names: label and name in each row."""

SPLIT_FILES = (*(f"{split}.csv" for split in (TRAIN, VALID, TEST)), CLASS_NAMES)
"""The files that `lab data split` writes together, the main one first."""

Row = tuple[str, str | None, str, str]
"""Path, label (None: not known), group and split of an image."""


@dataclass
class Reading:
    """How a data set is read, and what is found besides its rows."""

    fold: int | None = None
    """C-NMC's validation fold; None for the usual one."""
    columns: ColumnNames = ColumnNames()
    """The columns of `train.csv` and the tables beside it that the user named."""
    keep_masks: bool = False
    """Whether files that look like masks of other images are images too."""
    missing: Missing = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)
    notes: list[str] = field(default_factory=list)
    """What was assumed or is worth a look, one line each."""

    def note_images(self, index: ImageIndex, paths: Collection[str]) -> None:
        """Note how many images of an index are not among the paths of a table, and how many are written otherwise."""
        if index.respelled:
            self.notes.append(f"note: {index.respelled} paths are written otherwise in the table: {index.example}")
        if unlisted := index.known.keys() - paths:
            self.skipped.add(UNLISTED, min(unlisted), len(unlisted))


def without_uncertain(rows: list[Row], reading: Reading) -> list[Row]:
    """Return the rows of a chosen finding without images of which it is uncertain (-1), and note how many these were.

    Test images stay, without a label.
    """
    kept = [row for row in rows if row[1] is not None or row[3] == TEST]
    if len(kept) < len(rows):
        reading.notes.append(f"left out: {len(rows) - len(kept)} images of which the finding is uncertain (-1)")
    return kept


def make_table(
    folder: Path, layout: str, rows: Sequence[Row], reading: Reading, classes: tuple[ClassName, ...] = ()
) -> Table:
    """Make a Table of rows; without `classes` they are the labels, with the names of `classes.csv`.

    Raises:
        DataError: `classes.csv` does not name the labels of the rows.
    """
    if not classes:
        labels = sorted_labels({label for _, label, _, _ in rows if label is not None})
        names = read_class_names(folder / CLASS_NAMES, labels) if (folder / CLASS_NAMES).is_file() else {}
        classes = tuple(ClassName(names.get(label, label), label) for label in labels)
    known = {item.label: index for index, item in enumerate(classes)}
    return Table(
        name=folder.resolve().name,
        layout=layout,
        root=folder,
        classes=classes,
        paths=tuple(row[0] for row in rows),
        labels=np.array([UNKNOWN if row[1] is None else known[row[1]] for row in rows], dtype=np.int64),
        groups=tuple(row[2] for row in rows),
        splits=tuple(row[3] for row in rows),
        notes=tuple(note for note in (*reading.notes, reading.skipped.summary()) if note),
    )


def read_class_names(file: Path, labels: Sequence[str]) -> dict[str, str]:
    """Read the names of labels: columns `label` and `name` in any order, or two columns in that order without a header.

    Raises:
        DataError: the columns are not recognised, no label of the data set is named, or two labels have the same name.
    """
    table = read_label_file(file)
    header = [name.lower() for name in table.header]
    if header.count("label") == header.count("name") == 1:
        pairs = list(zip(table.column(header.index("label")), table.column(header.index("name")), strict=True))
    elif len(header) == 2 and not {"label", "name"} & set(header):
        pairs = [(row[0], row[1]) for row in [table.header, *table.rows]]
    else:
        columns = listed(table.header) or "none"
        raise DataError(f"{file} has the columns {columns}; it needs label and name in its first line")
    names = {label: name or label for label, name in pairs if label in labels}
    if pairs and labels and not names:
        raise DataError(
            f"{file} names {listed([label for label, _ in pairs])}, the data set has {listed(labels)}; correct it"
        )
    names_of = [names.get(label, label) for label in labels]
    if same := [label for label, name in zip(labels, names_of, strict=True) if names_of.count(name) > 1]:
        raise DataError(f"{file} gives the labels {listed(same)} the same name; give each its own")
    return names
