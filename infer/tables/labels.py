"""True labels and patients of the images to predict: from a labels table, from the input itself, or unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_labels import to_indices, unknown_labels
from infer.dataset.columns import ColumnNames
from infer.dataset.known_headers import LABEL_NAMES
from infer.dataset.label_file import LabelFile, read_label_file
from infer.dataset.labelled import read_labelled
from infer.images.listing import natural_key
from infer.model.card import ClassName
from infer.tables.image_names import NameMatcher
from infer.tables.input_table import is_sample
from infer.tables.inputs import STANDARD_INPUT, TABLES, Inputs

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """The true labels and patients of n inputs, in their order."""

    labels: list[str]
    """[n] labels or class names as text."""
    groups: Sequence[str]
    """[n] the patient, "" where unknown; empty where no patient is known."""
    summary: str
    """A line for the user on where they were read."""


def find_truth(
    config: PredictConfig, inputs: Inputs, classes: Sequence[ClassName], screen: Screen
) -> tuple[Labels | None, Sequence[str]]:
    """The class index of each input, int64 [n], and its patient: from --truth, else from the input itself, else None.

    Raises:
        DataError: the table does not fit the inputs (see `read_truth`), or has labels that the model does not know.
    """
    if config.truth:
        if is_sample(config.truth):
            raise DataError(
                f"--truth {config.truth} is a sample submission by its name, and the labels of these are placeholders; "
                "leave it out, or rename it if it has the true labels"
            )
        ordered = str(config.source) == STANDARD_INPUT or config.source.suffix.lower() in TABLES
        truth = read_truth(config.truth, inputs, config.label_column, ordered)
        screen.say(f"truth: {truth.summary}")
        return np.array(to_indices(truth.labels, classes, str(config.truth))), truth.groups
    if not inputs.labels or (config.sample and config.sample.resolve() == config.source.resolve()):
        return None, inputs.groups
    if unknown := unknown_labels(inputs.labels, classes):
        screen.say(f"no report: {inputs.labels_from} has the labels {listed(unknown)}, which the model does not know")
        return None, inputs.groups
    if len(inputs.labels) > 1 and len(set(inputs.labels)) == 1 and inputs.labels_from.startswith("column"):
        screen.say(
            f"note: {inputs.labels_from} gives all {len(inputs.labels)} images the label {inputs.labels[0]}; "
            "if it is a placeholder, the report means nothing"
        )
    return np.array(to_indices(inputs.labels, classes, str(config.source))), inputs.groups


def read_truth(file: Path, inputs: Inputs, label_column: str = "", ordered: bool = True) -> Truth:
    """Read the label and the patient of each input from a labels table (see `find_columns`); rows are in any order.

    A file of a single column has labels alone, in the order of the inputs.

    Args:
        file: the table.
        inputs: the images.
        label_column: the column that the user named; "": by its header.
        ordered: whether the inputs are in an order that the user chose, rather than sorted by lab.

    Raises:
        DataError: an input has no label or two, an id is ambiguous, the columns are not recognised, or labels alone
            may be in either of two orders.
    """
    table = read_label_file(file)
    if not table.header:
        raise DataError(f"{file} is empty; give a table with the images' names and labels")
    if len(table.header) == 1 and not label_column:
        return _in_order(table, inputs, ordered)
    matcher = NameMatcher(inputs.names)
    read = read_labelled(table, ColumnNames(label=label_column), lambda name: bool(matcher.find(name)))
    if not table.rows:
        raise DataError(f"{file} has a header and no rows; add a row for each image")
    count = len(inputs.names)
    labels: list[str | None] = [None] * count
    groups: list[str | None] = [None] * count
    for name, label, group in zip(read.names, read.labels, read.groups, strict=True):
        indices = matcher.find(name)
        if len(indices) > 1:
            candidates = listed([inputs.names[index] for index in indices])
            raise DataError(f"{file}: {name} fits several images: {candidates}; write the relative path")
        for index in indices:
            for values, value, kind in ((labels, label, "labels"), (groups, group or None, "patients")):
                if value is not None and values[index] not in (None, value):
                    raise DataError(f"{file} gives {name} two different {kind}; keep the right one")
                values[index] = values[index] if value is None else value
    if missing := [name for name, label in zip(inputs.names, labels, strict=True) if label is None]:
        raise DataError(f"{file} has no label for {len(missing)} of the images: {listed(missing)}; add them")
    known = any(groups)
    return Truth(
        labels=[label or "" for label in labels],
        groups=[group or "" for group in groups] if known else inputs.groups,
        summary=read.summary,
    )


def _in_order(table: LabelFile, inputs: Inputs, ordered: bool) -> Truth:
    """The labels of a file of labels alone. Raises DataError where the order of the images is not certain."""
    values = [*table.header, *(row[0] for row in table.rows)]
    if values and values[0].lower() in LABEL_NAMES and len(values) == len(inputs.names) + 1:
        values = values[1:]
    if len(values) != len(inputs.names):
        raise DataError(
            f"{table.path} has {len(values)} labels for the {len(inputs.names)} images of {inputs.root}; make them one "
            "line each"
        )
    by_letter = sorted(inputs.names)
    if not ordered and by_letter != inputs.names == sorted(inputs.names, key=natural_key):
        first = next(index for index, name in enumerate(by_letter) if name != inputs.names[index])
        raise DataError(
            f"{table.path} has labels alone, and their order is not certain: line {first + 1} may be "
            f"{inputs.names[first]} (counted) or {by_letter[first]} (sorted by letter); add a column of image names"
        )
    summary = f"{table.path.name}: one label per line, in the order {inputs.names[0]} to {inputs.names[-1]}"
    return Truth(values, inputs.groups, summary)
