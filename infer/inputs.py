"""What `lab predict` is pointed at: a folder, an archive, a table, a list or one image; and its truth, if known."""

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from infer.archive import File, is_archive, list_members
from infer.card import ClassName, class_index
from infer.errors import DataError, listed
from infer.files import is_image, list_images, natural_key, read_csv
from infer.layouts import GROUP_COLUMNS, paired_labels
from infer.locate import ImageIndex, find_all

IMAGE_COLUMNS = ("path", "id", "image", "image_id", "filename", "file", "name", "img")
SAMPLE = "sample_submission.csv"
STANDARD_INPUT = "-"
INPUTS = (
    "give a folder, a CSV that names images, a .zip or .tar of images, a pattern such as 'cells/*.png', or an image"
)
LABEL_COLUMNS = ("label", "labels")
TRUTH_COLUMNS = (*LABEL_COLUMNS, "class", "target", "level", "truth")


@dataclass(frozen=True)
class Inputs:
    """The images to predict, in order; `names` and `files` are of one length, n."""

    root: Path
    """The folder beside which, or in which, a sample submission is looked for."""
    names: list[str]
    """As they go into the CSV: relative to the folder, or as the input CSV has them."""
    files: Sequence[File]
    """Where each lies."""
    labels: list[str] | None = None
    """[n] the truth as text, where the input itself tells it."""
    labels_from: str = ""
    """Where the truth was found, for people."""
    groups: Sequence[str] = ()
    """[n] the patient of each, "" where not known; empty where the input tells of none."""


class Below(Sequence[str]):
    """The paths of names in a folder, joined when they are asked for: a million of them take no memory."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`names`: with `/` between folders."""
        self.prefix = {".": "", "/": "/"}.get(str(folder), f"{folder}/")
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        found = self.names[place]
        return self.prefix + found if isinstance(found, str) else [self.prefix + name for name in found]


def read_inputs(source: Path, classes: Sequence[ClassName]) -> Inputs:
    """List the images of `source`.

    Raises:
        DataError: it does not exist, holds no image, or names images that are missing.
    """
    if str(source) == STANDARD_INPUT:
        return _from_lines(sys.stdin.buffer)
    try:
        found = source.is_dir()
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}; check the path") from error
    if found:
        return _from_folder(source, classes)
    if not source.exists():
        if matching := _glob(source):
            return _as_folder(*matching, classes)
        raise DataError(f"the input {source} does not exist; {INPUTS}")
    if is_archive(source):
        members = list_members(source)
        if not members:
            raise DataError(f"no images found in {source}; lab reads JPEG, PNG, BMP, TIFF, WebP and GIF")
        return _as_folder(source.parent, [member.name for member in members], members, classes)
    if source.suffix.lower() in (".csv", ".txt"):
        return _from_csv(source)
    if is_image(source.name):
        return Inputs(source.parent, [source.name], [str(source)])
    raise DataError(f"no images found: {source} is none of what lab reads; {INPUTS}")


def _from_folder(folder: Path, classes: Sequence[ClassName]) -> Inputs:
    names = list_images(folder)
    if not names:
        raise DataError(f"no images found in {folder}; lab reads JPEG, PNG, BMP, TIFF, WebP and GIF")
    return _as_folder(folder, names, Below(folder, names), classes)


def _as_folder(root: Path, names: list[str], files: Sequence[File], classes: Sequence[ClassName]) -> Inputs:
    """Inputs whose names may tell their class by a folder."""
    known = set(class_index(classes))
    for level in (0, -2):  # the first folder, as in a data set's split, or else the last
        labels = [parts[level] if len(parts := name.split("/")) > 1 else "" for name in names]
        if set(labels) <= known:
            return Inputs(root, names, files, labels, "class folders")
    return Inputs(root, names, files)


def _glob(pattern: Path) -> tuple[Path, list[str], list[str]] | None:
    """The images that a pattern with `*`, `**`, `?` or `[...]` means, named from the folder before any of these."""
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    found = [path for path in glob.glob(str(pattern), recursive=True) if is_image(path) and os.path.isfile(path)]
    names = {os.path.relpath(path, fixed).replace(os.sep, "/"): path for path in found}
    ordered = sorted(names, key=natural_key)
    return (fixed, ordered, [names[name] for name in ordered]) if found else None


def _from_lines(lines: Iterable[bytes]) -> Inputs:
    """One path a line, as `find` and `ls` print them; empty lines are left out."""
    names = [os.fsdecode(line.rstrip(b"\r\n")) for line in lines]
    names = [name for name in names if name]
    if not names:
        raise DataError("no images found: the standard input is empty; write one path a line")
    return Inputs(Path(), names, names)


def _from_csv(source: Path) -> Inputs:
    rows = read_csv(source)
    if not rows:
        raise DataError(f"no images found: {source} is empty; write one image a line")
    index = ImageIndex(source.parent)
    header = [name.lower() for name in rows[0]]
    column = _column(header, IMAGE_COLUMNS)
    if column is None and len(header) == 1 and index.find(rows[0][0]) is not None:
        names = [row[0] for row in rows]  # one name a line and no header, as in train_img.csv
        files = _absolute(source, index, names)
        truth = source.with_name(source.name.replace("_img", "_label"))
        if truth != source and truth.is_file():
            return Inputs(source.parent, names, files, paired_labels(source, names, truth), truth.name)
        return Inputs(source.parent, names, files)
    if column is None:
        what = f"its first line is {listed(rows[0])}, neither an image that lies there nor a known header"
        raise DataError(f"no images found in {source}: {what}; name the column with the images Path")
    if not rows[1:]:
        raise DataError(f"no images found: {source} has a header and no rows")
    if any(len(row) < len(header) for row in rows):
        raise DataError(f"{source} has rows with fewer values than its {len(header)} columns; complete them")
    names = [row[column] for row in rows[1:]]
    files = _absolute(source, index, names)
    label = _column(header, LABEL_COLUMNS)
    group = _column(header, GROUP_COLUMNS)
    groups = [row[group] for row in rows[1:]] if group is not None and group != column else []
    if label is None or label == column or source.name == SAMPLE:  # a sample's labels stand for nothing
        return Inputs(source.parent, names, files, groups=groups)
    return Inputs(source.parent, names, files, [row[label] for row in rows[1:]], f"column {rows[0][label]}", groups)


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The position in a lower-case header of the first of these names that it has."""
    return next((header.index(name) for name in names if name in header), None)


def _absolute(source: Path, index: ImageIndex, names: list[str]) -> list[str]:
    return [str(source.parent / path) for path in find_all(index, names, source)]


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
    image, label = _column(header, IMAGE_COLUMNS), _column(header, TRUTH_COLUMNS)
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
    image, group = _column(header, IMAGE_COLUMNS), _column(header, GROUP_COLUMNS)
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
