"""The CSV that goes to Kaggle: its header, ids and order follow the sample submission, if there is one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infer.core.arrays import Floats
from infer.core.csv_files import csv_text, read_csv
from infer.core.errors import DataError, ImageError
from infer.core.files import remove, write_text
from infer.core.output_paths import bad_list
from infer.core.text import listed
from infer.model.card import ClassName, class_index
from infer.tables.image_names import NameMatcher
from infer.tables.inputs import SAMPLE, Inputs
from infer.tables.row_writers import Cell

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Form:
    """How the CSV is to look: `ids[i]` is written for the input at `order[i]`."""

    header: list[str]
    ids: list[str]
    order: Sequence[int]
    columns: list[int] | None = None
    """Class index of each probability column; None: one column with the label."""
    top: int | None = None
    """Instead of columns: so many labels, the most probable first, each with its probability."""
    min_confidence: float | None = None
    """Where given, a last column says whether the largest probability is below it."""

    def row(
        self, position: int, probabilities: Floats, classes: Sequence[ClassName], guessed: bool = False
    ) -> list[Cell]:
        """The row of the image at `position` in `ids`, from its probabilities [K]; a guess is always to be rejected."""
        cells: list[Cell] = [self.ids[position]]
        if self.top is not None:
            best = np.argsort(-probabilities, kind="stable")[: self.top]  # of equal ones the first, as argmax does
            cells += [cell for index in best for cell in (classes[index].label, probabilities[index])]
        elif self.columns is None:
            cells.append(classes[int(probabilities.argmax())].label)
        else:
            cells += [probabilities[column] for column in self.columns]
        if self.min_confidence is not None:
            cells.append(int(guessed or float(probabilities.max()) < self.min_confidence))
        return cells

    def with_reject(self, min_confidence: float | None) -> "Form":
        """The same form with a column `reject`, where there is a confidence to compare with."""
        if min_confidence is None:
            return self
        return replace(self, header=[*self.header, "reject"], min_confidence=min_confidence)


def plain_form(inputs: Inputs) -> Form:
    """`ID,label`, with the inputs' own names in their order."""
    return Form(["ID", "label"], inputs.names, range(len(inputs.names)))


def probabilities_form(form: Form, classes: Sequence[ClassName], top: int | None = None) -> Form:
    """The same ids and order with a column of probabilities for every class, or for the `top` most probable ones."""
    if top is None:
        header = [form.header[0], *(item.label for item in classes)]
        return Form(header, form.ids, form.order, list(range(len(classes))))
    places = range(1, top + 1)
    header = [form.header[0], *(f"{what}_{place}" for place in places for what in ("label", "probability"))]
    return Form(header, form.ids, form.order, top=top)


def find_sample(source: Path) -> Path | None:
    """The sample submission in the input folder, or beside the input."""
    places = (source / SAMPLE, source.absolute().parent / SAMPLE)
    return next((place for place in places if place.is_file()), None)


def sample_form(sample: Path, inputs: Inputs, classes: Sequence[ClassName]) -> Form:
    """The form that a sample submission prescribes.

    Raises:
        DataError: its columns are neither an id and a label nor an id and the classes, an id is ambiguous, twice there
            or without an image, or an image has no id.
    """
    header, *rows = read_csv(sample) or [["nothing"]]
    columns = _columns(sample, header, classes)
    matcher = NameMatcher(inputs.names)
    ids = [row[0] for row in rows]
    found = [matcher.find(wanted) for wanted in ids]
    advice = "or write all images with --no-sample"
    if missing := [wanted for wanted, positions in zip(ids, found, strict=True) if not positions]:
        raise DataError(
            f"{sample} has {len(missing)} ids without an image: {listed(missing)}; add the images, {advice}"
        )
    for wanted, positions in zip(ids, found, strict=True):
        if len(positions) > 1:
            fitting = [inputs.names[position] for position in positions]
            if len(set(fitting)) == 1:
                raise DataError(f"{fitting[0]} is listed {len(fitting)} times in the input; list it once, {advice}")
            raise DataError(f"{sample}: the id {wanted} may be {listed(fitting)}; make it a relative path, {advice}")
    order = [positions[0] for positions in found]
    if len(set(order)) < len(order):
        first: dict[int, int] = {}
        twice = [ids[place] for place, position in enumerate(order) if first.setdefault(position, place) != place]
        raise DataError(f"{sample} names one image more than once: {listed(twice)}; remove the repeated ids, {advice}")
    if extra := sorted(set(range(len(inputs.names))) - set(order)):
        names = listed([inputs.names[position] for position in extra])
        what = f"{len(extra)} images have no id in {sample}: {names}"
        raise DataError(f"{what}; give the sample itself as INPUT for its images alone, {advice}")
    return Form(header, ids, order, columns)


def _columns(sample: Path, header: list[str], classes: Sequence[ClassName]) -> list[int] | None:
    if len(header) == 2:
        return None
    known = class_index(classes)
    columns = [known[name] for name in header[1:] if name in known]
    if len(header) != len(classes) + 1 or sorted(columns) != list(range(len(classes))):
        labels = listed([item.label for item in classes], 20)
        raise DataError(
            f"{sample} has the columns {listed(header, 20)}; it needs an id and a label, or an id and one column for "
            f"each of the classes {labels}"
        )
    return columns


def write_bad(out: Path, form: Form, bad: Sequence[tuple[int, ImageError]]) -> None:
    """List the bad images beside the CSV; a list that an earlier prediction left there goes."""
    if bad:
        rows = [(form.ids[place], error.path, error.reason) for place, error in bad]
        write_text(bad_list(out), csv_text([("ID", "path", "reason"), *rows]))
    else:
        remove(bad_list(out))
