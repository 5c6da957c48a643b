"""The truth of images that are predicted, and their patients: from a CSV beside them."""

from collections.abc import Sequence
from pathlib import Path

from infer.core.csv_files import read_csv
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.layouts import GROUP_COLUMNS, paired_labels
from infer.tables.image_names import NameMatcher
from infer.tables.inputs import IMAGE_COLUMNS, LABEL_COLUMNS, Inputs, column_of

TRUTH_COLUMNS = (*LABEL_COLUMNS, "class", "target", "level", "truth")


def read_truth(file: Path, inputs: Inputs) -> list[str]:
    """The label of each input, in the inputs' order, from a CSV with an image column and a label column.

    A file of one column without a header gives the labels of the inputs in their order.

    Raises:
        DataError: an input has no label, an id is ambiguous, or the columns are not recognised.
    """
    rows = read_csv(file)
    if rows and all(len(row) == 1 for row in rows):
        return paired_labels(inputs.root, inputs.names, file)
    if any(len(row) < len(rows[0]) for row in rows):
        raise DataError(f"{file} has rows with fewer values than its {len(rows[0])} columns; complete them")
    header = [name.lower() for name in rows[0]] if rows else []
    image, label = column_of(header, IMAGE_COLUMNS), column_of(header, TRUTH_COLUMNS)
    if image is None or label is None:
        found = listed(rows[0]) if rows else "nothing"
        raise DataError(f"{file} holds {found}; its first line must name a Path and a label column")
    labels = _matched(file, rows[1:], (image, label), "labels", inputs.names)
    if missing := [name for name, found in zip(inputs.names, labels, strict=True) if found is None]:
        raise DataError(f"{file} has no label for {len(missing)} of the images: {listed(missing)}; add them")
    return [found or "" for found in labels]


def read_groups(file: Path, inputs: Inputs) -> Sequence[str]:
    """The patient of each input, "" where not known, from a CSV that `read_truth` has read, or else as the input tells.

    Raises:
        DataError: an image has two patients.
    """
    rows = read_csv(file)
    header = [name.lower() for name in rows[0]]
    image, group = column_of(header, IMAGE_COLUMNS), column_of(header, GROUP_COLUMNS)
    if image is None or group is None or len(header) == 1:
        return inputs.groups
    return [found or "" for found in _matched(file, rows[1:], (image, group), "patients", inputs.names)]


def _matched(
    file: Path, rows: list[list[str]], columns: tuple[int, int], what: str, names: Sequence[str]
) -> list[str | None]:
    """What the second of two columns says of each name, found in the first; None where it is not there.

    Raises DataError for an ambiguous id, or two different answers.
    """
    image, column = columns
    matcher = NameMatcher(names)
    found: dict[int, str] = {}
    for row in rows:
        positions = matcher.find(row[image])
        if len(positions) > 1:
            fitting = listed([names[position] for position in positions])
            raise DataError(f"{file}: {row[image]} may be {fitting}; write the relative path")
        if positions and found.setdefault(positions[0], row[column]) != row[column]:
            raise DataError(f"{file} gives {row[image]} two {what}; keep the right one")
    return [found.get(position) for position in range(len(names))]
