"""The CSV that goes to Kaggle: its header, ids and order follow the sample submission, if there is one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infer.config import bad_list
from infer.core.errors import DataError, ImageError, MissingExtraError, listed
from infer.core.files import csv_line, csv_text, read_csv, remove, replacing, write_text
from infer.model.card import ClassName, class_index
from infer.model.session import Floats
from infer.tables.inputs import SAMPLE, Inputs
from infer.tables.labels import NameMatcher

if TYPE_CHECKING:
    import pyarrow

Cell = str | int | np.float32
ROWS = 10_000
"""Rows of a Parquet file that are written at once."""


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


Write = Callable[[Sequence[Cell]], object]


def writing(path: Path, header: Sequence[str]) -> AbstractContextManager[Write]:
    """`writing_csv`, or `writing_parquet` where the name ends so."""
    return writing_parquet(path, header) if is_parquet(path) else writing_csv(path, header)


def is_parquet(path: Path) -> bool:
    """Whether a file of this name is to be Parquet."""
    return path.suffix.lower() == ".parquet"


@contextmanager
def writing_csv(path: Path, header: Sequence[str]) -> Iterator[Write]:
    """Yield what writes a row; the file appears whole when the block ends well, or not at all. Raises OutputError."""
    with (
        replacing(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        file.write(csv_line(header))
        yield lambda row: file.write(csv_line(row))


def require_parquet(option: str, path: Path) -> None:
    """Raises MissingExtraError where a Parquet file is asked for and pyarrow, which writes it, is not installed."""
    if is_parquet(path):
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{option} {path} needs pyarrow, which is not installed; run pip install '.[parquet]' in lab's folder, "
                "or give a .csv"
            ) from error


@contextmanager
def writing_parquet(path: Path, header: Sequence[str]) -> Iterator[Write]:
    """`writing_csv` as Parquet: text as strings, probabilities as float32, marks as whole numbers."""
    import pyarrow.parquet

    waiting: list[Sequence[Cell]] = []
    writer: pyarrow.parquet.ParquetWriter | None = None
    with replacing(path) as draft:

        def flush() -> None:
            nonlocal writer
            table = _table(header, waiting)
            writer = writer or pyarrow.parquet.ParquetWriter(draft, table.schema)
            writer.write_table(table)
            waiting.clear()

        def write(row: Sequence[Cell]) -> None:
            waiting.append(row)
            if len(waiting) >= ROWS:
                flush()

        try:
            yield write
            if waiting:
                flush()
        finally:
            if writer is not None:
                writer.close()


def _table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> "pyarrow.Table":
    import pyarrow

    columns = []
    for column in zip(*rows, strict=True):
        if isinstance(column[0], str):  # a name whose bytes are no UTF-8 cannot be a string of Arrow's
            texts = [str(cell).encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in column]
            columns.append(pyarrow.array(texts, pyarrow.string()))
        else:
            kind = pyarrow.float32() if isinstance(column[0], np.float32) else pyarrow.int8()
            columns.append(pyarrow.array(column, kind))
    return pyarrow.table(columns, list(header))
