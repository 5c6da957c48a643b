"""The CSV that goes to Kaggle: its header, ids and order follow the sample submission, if there is one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infer.card import ClassName, class_index
from infer.errors import DataError, listed
from infer.files import csv_line, read_csv, replacing
from infer.inputs import SAMPLE, Inputs, NameMatcher
from infer.session import Floats


@dataclass(frozen=True)
class Form:
    """How the CSV is to look: `ids[i]` is written for the input at `order[i]`."""

    header: list[str]
    ids: list[str]
    order: list[int]
    columns: list[int] | None = None
    """Class index of each probability column; None: one column with the label."""

    def row(self, position: int, probabilities: Floats, classes: Sequence[ClassName]) -> list[str]:
        """The row of the image at `position` in `ids`, from its probabilities [K]."""
        if self.columns is None:
            return [self.ids[position], classes[int(probabilities.argmax())].label]
        return [self.ids[position], *(str(probabilities[column]) for column in self.columns)]


def plain_form(inputs: Inputs) -> Form:
    """`ID,label`, with the inputs' own names in their order."""
    return Form(["ID", "label"], inputs.names, list(range(len(inputs.names))))


def probabilities_form(form: Form, classes: Sequence[ClassName]) -> Form:
    """The same ids and order with a column of probabilities for every class."""
    header = [form.header[0], *(item.label for item in classes)]
    return Form(header, form.ids, form.order, list(range(len(classes))))


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


@contextmanager
def writing_csv(path: Path, header: Sequence[str]) -> Iterator[Callable[[Sequence[str]], object]]:
    """Yield what writes a row; the file appears whole when the block ends well, or not at all. Raises OutputError."""
    with (
        replacing(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        file.write(csv_line(header))
        yield lambda row: file.write(csv_line(row))
