"""A table of the images to predict: which column names them, and the labels and patients beside it."""

import re
from pathlib import Path

from infer.core.errors import DataError
from infer.dataset.columns import ColumnNames
from infer.dataset.known_headers import GROUP_NAMES, names_images
from infer.dataset.label_file import LabelFile
from infer.dataset.labelled import LabelledNames, read_labelled
from infer.dataset.locate import ImageIndex

SAMPLE_NAMES = re.compile(
    r"sample[ _.-]*subm|sample[ _.-]*sub$|subm\w*[ _.-]*(format|sample|template|example)|example[ _.-]*subm", re.I
)
"""Names of sample submissions: Kaggle's `sample_submission`, `sampleSubmission`, DrivenData's `submission_format`."""


def read_rows(
    table: LabelFile, image_column: str, label_column: str | None, index: ImageIndex
) -> tuple[LabelledNames, str]:
    """Read the rows of a table of images, and a note on what was read.

    A prediction needs no labels: where they cannot be told, and the user has not chosen them, the note says why.
    """
    if is_sample(table.path):  # its first column has the ids, and its labels are placeholders
        image_column = image_column or next(iter(table.header), "")
        label_column = None
    problem = ""
    if label_column is not None:
        try:
            names = ColumnNames(image=image_column, label=label_column)
            read = read_labelled(table, names, index.has, needs_label=False)
            return read, f"input: {read.summary}"
        except DataError as error:
            if label_column:
                raise
            problem = f"; no report: {error}"
    read = read_labelled(
        _without_labels(table, image_column), ColumnNames(image=image_column), index.has, needs_label=False
    )
    return read, f"input: {read.summary}{problem}"


def _without_labels(table: LabelFile, image_column: str) -> LabelFile:
    """The columns of a table that name images or patients; the whole table where none names its images."""
    names = [name.lower() for name in table.header]
    if not (image_column.lower() in names if image_column else names_images(names)):
        return table
    kept = [
        position
        for position, name in enumerate(names)
        if name in (*GROUP_NAMES, image_column.lower()) or names_images([name])
    ]
    rows = [[row[position] for position in kept] for row in table.rows]
    return LabelFile(table.path, [table.header[position] for position in kept], rows)


def is_sample(table: Path) -> bool:
    """Whether a table is a sample submission by its name; its labels are placeholders."""
    return SAMPLE_NAMES.search(table.stem) is not None
