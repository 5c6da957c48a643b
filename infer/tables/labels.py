"""True labels and patients of the images to predict: from a CSV, from the input itself, or unknown."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.csv_files import read_csv
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_labels import to_indices, unknown_labels
from infer.dataset.layouts import GROUP_COLUMNS, paired_labels
from infer.model.card import ClassName
from infer.tables.image_names import NameMatcher
from infer.tables.inputs import IMAGE_COLUMNS, LABEL_COLUMNS, Inputs, column_of

Labels = NDArray[np.int64]
TRUTH_COLUMNS = (*LABEL_COLUMNS, "class", "target", "level", "truth")


def find_truth(config: PredictConfig, inputs: Inputs, classes: Sequence[ClassName], screen: Screen) -> Labels | None:
    """The class index of each input, int64 [n], from the CSV of --truth, else from the input itself, else None.

    Raises:
        DataError: the CSV does not fit the inputs (see `read_truth`), or has labels that the model does not know.
    """
    if config.truth:
        return np.array(to_indices(read_truth(config.truth, inputs), classes, str(config.truth)))
    if not inputs.labels:
        return None
    if unknown := unknown_labels(inputs.labels, classes):
        screen.say(f"no report: {inputs.labels_from} has the labels {listed(unknown)}, which the model does not know")
        return None
    return np.array(to_indices(inputs.labels, classes, str(config.source)))


def read_truth(file: Path, inputs: Inputs) -> list[str]:
    """Read the label of each input from a CSV with an image column and a label column; rows are in any order.

    A CSV of a single column has no header, and its labels are in the order of the inputs.

    Raises:
        DataError: an input has no label or two, an id is ambiguous, or the columns are not recognised.
    """
    rows = read_csv(file)
    if rows and all(len(row) == 1 for row in rows):
        return paired_labels(inputs.root, inputs.names, file)
    if any(len(row) < len(rows[0]) for row in rows):
        raise DataError(f"{file} has rows with fewer values than its {len(rows[0])} columns; complete them")
    header = [name.lower() for name in rows[0]] if rows else []
    image, label = column_of(header, IMAGE_COLUMNS), column_of(header, TRUTH_COLUMNS)
    if image is None or label is None:
        header_text = f"the columns {listed(rows[0])}" if rows else "no columns"
        raise DataError(f"{file} has {header_text}; its first line must name a column Path and a column label")
    labels = _matched(file, rows[1:], (image, label), "labels", inputs.names)
    if missing := [name for name, value in zip(inputs.names, labels, strict=True) if value is None]:
        raise DataError(f"{file} has no label for {len(missing)} of the images: {listed(missing)}; add them")
    return [value or "" for value in labels]


def read_groups(file: Path, inputs: Inputs) -> Sequence[str]:
    """Read the patient of each input, "" where unknown, from the CSV of `read_truth`, or else from the input itself.

    Raises:
        DataError: an image has two patients.
    """
    rows = read_csv(file)
    header = [name.lower() for name in rows[0]]
    image, group = column_of(header, IMAGE_COLUMNS), column_of(header, GROUP_COLUMNS)
    if image is None or group is None or len(header) == 1:
        return inputs.groups
    return [value or "" for value in _matched(file, rows[1:], (image, group), "patients", inputs.names)]


def _matched(
    file: Path, rows: list[list[str]], columns: tuple[int, int], kind: str, names: Sequence[str]
) -> list[str | None]:
    """For each name the value of the second column in the row whose first column names it; None where no row does.

    Raises:
        DataError: an id is ambiguous, or a name has two different values; `kind` says of what.
    """
    image, column = columns
    matcher = NameMatcher(names)
    values: dict[int, str] = {}
    for row in rows:
        indices = matcher.find(row[image])
        if len(indices) > 1:
            candidates = listed([names[index] for index in indices])
            raise DataError(f"{file}: {row[image]} fits several images: {candidates}; write the relative path")
        if indices and values.setdefault(indices[0], row[column]) != row[column]:
            raise DataError(f"{file} gives {row[image]} two different {kind}; keep the right one")
    return [values.get(index) for index in range(len(names))]
