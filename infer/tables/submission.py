"""The form of the CSV for Kaggle: its header, ids and order follow the sample submission, where there is one."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infer.config import PredictConfig
from infer.core.arrays import Floats
from infer.core.console import Screen
from infer.core.csv_files import csv_text, read_csv
from infer.core.errors import ConfigError, DataError, ImageError
from infer.core.file_sets import FileSet
from infer.core.output_paths import bad_list, require_inputs_kept
from infer.core.remote import require_reachable, uri_of
from infer.core.text import listed
from infer.model.card import ClassName, class_index
from infer.tables.image_names import NameMatcher
from infer.tables.input_table import is_sample
from infer.tables.inputs import Inputs
from infer.tables.row_writers import Cell

SAMPLE = "sample_submission.csv"


@dataclass(frozen=True)
class Form:
    """The columns, ids and order of a CSV of predictions."""

    header: list[str]
    ids: list[str]
    """The first cell of each row."""
    order: Sequence[int]
    """For each row the index of its image among the inputs."""
    columns: list[int] | None = None
    """The class index of each probability column; None: one column with the label."""
    top: int | None = None
    """In place of `columns`: the number of labels, the most probable first, each followed by its probability."""
    min_confidence: float | None = None
    """Adds a last column, 1 where the largest probability is below this; None: no such column."""

    def row(self, index: int, probabilities: Floats, classes: Sequence[ClassName], guessed: bool = False) -> list[Cell]:
        """The row at an index, from the probabilities [K] of its image; a guess is always marked to be rejected."""
        cells: list[Cell] = [self.ids[index]]
        if self.top is not None:
            best = np.argsort(-probabilities, kind="stable")[: self.top]  # ties in the order of classes, as in argmax
            cells += [cell for k in best for cell in (classes[k].label, probabilities[k])]
        elif self.columns is None:
            cells.append(classes[int(probabilities.argmax())].label)
        else:
            cells += [probabilities[column] for column in self.columns]
        if self.min_confidence is not None:
            cells.append(int(guessed or float(probabilities.max()) < self.min_confidence))
        return cells

    @property
    def probability_columns(self) -> list[int]:
        """The columns with probabilities, by their position in the row; the others hold text and marks."""
        if self.top is not None:
            return [2 * rank for rank in range(1, self.top + 1)]
        return list(range(1, 1 + len(self.columns or ())))

    def with_reject(self, min_confidence: float | None) -> "Form":
        """Add a column `reject`; the form stays as it is where `min_confidence` is None."""
        if min_confidence is None:
            return self
        return replace(self, header=[*self.header, "reject"], min_confidence=min_confidence)


def plain_form(inputs: Inputs) -> Form:
    """`ID,label`, with the names and the order of the inputs."""
    return Form(["ID", "label"], inputs.names, range(len(inputs.names)))


def probabilities_form(form: Form, classes: Sequence[ClassName], top: int | None = None) -> Form:
    """The ids and order of `form` with a probability for every class, or for the `top` most probable ones."""
    if top is None:
        header = [form.header[0], *(item.label for item in classes)]
        return Form(header, form.ids, form.order, list(range(len(classes))))
    ranks = range(1, top + 1)
    header = [form.header[0], *(f"{column}_{rank}" for rank in ranks for column in ("label", "probability"))]
    return Form(header, form.ids, form.order, top=top)


def choose_form(config: PredictConfig, inputs: Inputs, classes: Sequence[ClassName], screen: Screen) -> Form:
    """The form of the sample submission, if one is named or found, else `ID,label`. Raises DataError."""
    sample = config.sample or (find_sample(config.source) if config.use_sample else None)
    if sample is None:
        return plain_form(inputs)
    screen.say(f"ids and order: {sample}")
    form = sample_form(sample, inputs, classes)
    if form.columns and len(form.columns) == 1:
        item = classes[form.columns[0]]
        text = item.label if item.label == item.name else f"{item.label} ({item.name})"
        screen.say(f"{form.header[1]}: the probability of class {text}, as {sample.name} has probabilities there")
    elif not form.columns and len(classes) == 2 and classes[1].label == "1":
        screen.say(
            f"{form.header[1]}: labels, as {sample.name} has no probabilities there; where log loss or AUC is computed "
            f"from them, name that column probability in a copy, and give it with --sample"
        )
    return form


def find_sample(source: Path) -> Path | None:
    """The sample submission in the input folder, the input itself, or one beside the input."""
    candidates = (source / SAMPLE, *([source] if is_sample(source) else []), source.absolute().parent / SAMPLE)
    return next((path for path in candidates if path.is_file()), None)


def sample_form(sample: Path, inputs: Inputs, classes: Sequence[ClassName]) -> Form:
    """The form that a sample submission prescribes.

    Raises:
        DataError: its columns are neither an id and a label nor an id and the classes; it asks for one probability, and
            the model has several classes; an id is ambiguous, repeated, or without an image; or an image has no id.
    """
    header, *rows = read_csv(sample) or [["nothing"]]
    if len(header) == 2:
        columns = _probability_column(sample, header[1], [row[1] for row in rows if len(row) > 1], classes)
    else:
        columns = _class_columns(sample, header, classes)
    ids = [row[0] for row in rows]
    return Form(header, ids, _order(sample, ids, inputs.names), columns)


def _order(sample: Path, ids: Sequence[str], names: Sequence[str]) -> list[int]:
    """The index of the image that each id names.

    Raises:
        DataError: an id names no image or several, two ids name the same one, or an image has no id.
    """
    matcher = NameMatcher(names)
    matches = [matcher.find(name) for name in ids]
    remedy = "or write all images with --no-sample"
    if missing := [name for name, indices in zip(ids, matches, strict=True) if not indices]:
        count = len(missing)
        raise DataError(f"{sample} has {count} ids without an image: {listed(missing)}; add the images, {remedy}")
    for name, indices in zip(ids, matches, strict=True):
        if len(indices) > 1:
            candidates = [names[index] for index in indices]
            if len(set(candidates)) == 1:
                times = len(candidates)
                raise DataError(f"{candidates[0]} is listed {times} times in the input; list it once, {remedy}")
            fitting = listed(candidates)
            raise DataError(f"{sample}: the id {name} fits several images: {fitting}; write a relative path, {remedy}")
    order = [indices[0] for indices in matches]
    if repeated := _repeated(ids, order):
        raise DataError(f"{sample} names an image more than once: {listed(repeated)}; remove repeated ids, {remedy}")
    if extra := sorted(set(range(len(names))) - set(order)):
        unnamed = listed([names[index] for index in extra])
        raise DataError(
            f"{len(extra)} images have no id in {sample}: {unnamed}; give the sample as INPUT to predict its images "
            f"alone, {remedy}"
        )
    return order


def _repeated(ids: Sequence[str], order: Sequence[int]) -> list[str]:
    """The ids whose image an earlier id has named."""
    first: dict[int, int] = {}
    return [ids[row] for row, index in enumerate(order) if first.setdefault(index, row) != row]


def _probability_column(
    sample: Path, column: str, values: Sequence[str], classes: Sequence[ClassName]
) -> list[int] | None:
    """The class whose probability the only column of a sample asks for, as in log loss and AUC; None: it has labels.

    Its placeholders tell: a number such as 0.5 that is no label. So does its header: `probability`, or a class.
    """
    known = class_index(classes)
    numbers = {value: _number(value) for value in values if value}
    if not all(0 <= number <= 1 for number in numbers.values()):  # text, other labels, or a quantity to predict
        return None
    foreign = [number for value, number in numbers.items() if value not in known]
    is_named = "prob" in column.lower() or (column in known and foreign)
    if not is_named and not any(0 < number < 1 for number in foreign):
        return None
    if column in known:
        return [known[column]]
    if len(classes) == 2:
        return [1]
    raise DataError(
        f"{sample} asks for one probability per image in its column {column}, "
        f"and the model has {len(classes)} classes; give the column the name of a class, "
        "or write labels with --no-sample"
    )


def _number(text: str) -> float:
    """The number that a text is, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _class_columns(sample: Path, header: list[str], classes: Sequence[ClassName]) -> list[int]:
    known = class_index(classes)
    columns = [known[name] for name in header[1:] if name in known]
    if len(header) != len(classes) + 1 or sorted(columns) != list(range(len(classes))):
        labels = listed([item.label for item in classes], 20)
        raise DataError(
            f"{sample} has the columns {listed(header, 20)}; it needs an id and a label, or an id and one column for "
            f"each of the classes {labels}"
        )
    return columns


def check_outputs(config: PredictConfig, inputs: Inputs, models: Sequence[Path]) -> None:
    """Raises ConfigError where an output would overwrite what is read, OutputError where its URI is not reachable."""
    sample = find_sample(config.source) if config.use_sample else None
    read = (sample, inputs.root / inputs.labels_from, *models)
    for option, out in (("--out", config.out), ("--probabilities", config.probabilities)):
        if out is None:
            continue
        require_inputs_kept(read, [out], option)
        if uri := uri_of(out):
            require_reachable(uri)
        same_name = (file for file in inputs.files if isinstance(file, str) and file.endswith(out.name))
        if os.path.abspath(out) in map(os.path.abspath, same_name):
            raise ConfigError(f"{option} {out} is one of the images and would be overwritten; give another name")


def write_bad(files: FileSet, out: Path, form: Form, bad: Sequence[tuple[int, ImageError]], raw: bool = False) -> None:
    """List the unreadable images, each with the index of its row, beside the CSV; delete an earlier list.

    `raw`: text that a spreadsheet may run as a formula stays as it is.
    """
    if bad:
        rows = [(form.ids[index], error.path, error.reason) for index, error in bad]
        files.write_text(bad_list(out), csv_text([("ID", "path", "reason"), *rows], raw))
    else:
        files.remove(bad_list(out))
