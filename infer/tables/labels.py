"""The truth of images that are predicted, and their patients: from a CSV beside them."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from infer.core.errors import DataError, listed
from infer.core.files import is_image, read_csv
from infer.dataset.layouts import GROUP_COLUMNS, paired_labels
from infer.model.card import ClassName, class_index
from infer.tables.inputs import IMAGE_COLUMNS, LABEL_COLUMNS, Inputs, column_of

TRUTH_COLUMNS = (*LABEL_COLUMNS, "class", "target", "level", "truth")


class NameMatcher:
    """Finds, among the inputs' names, the one that an id means: by relative path, then by name, then by stem."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` as in Inputs."""
        self._levels: list[dict[str, list[int]]] = [{}, {}, {}]
        for position, name in enumerate(names):
            for level, key in zip(self._levels, self._keys(name), strict=True):
                level.setdefault(key, []).append(position)

    def find(self, wanted: str) -> list[int]:
        """Positions of all inputs that fit at the first level where any does; more than one is ambiguous."""
        for level, key in zip(self._levels, self._keys(wanted), strict=True):
            if key in level:
                return level[key]
        return []

    @staticmethod
    def _keys(name: str) -> tuple[str, str, str]:
        path = PurePosixPath(name)
        return name, path.name, path.stem if is_image(path.name) else path.name


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


def unknown_labels(labels: Sequence[str], classes: Sequence[ClassName]) -> list[str]:
    """The labels that are no class's label or name, for people."""
    return sorted({label or "(empty)" for label in labels} - set(class_index(classes)))


def to_indices(labels: Sequence[str], classes: Sequence[ClassName], source: str) -> list[int]:
    """Labels or class names as text to class indices. Raises DataError for one that the model does not know."""
    if strange := unknown_labels(labels, classes):
        have = listed([str(item) for item in classes])
        raise DataError(f"{source} has the labels {listed(strange)}, the model knows {have}; use the model's labels")
    known = class_index(classes)
    return [known[label] for label in labels]
