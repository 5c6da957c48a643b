"""What `lab predict` is pointed at: a folder, an archive, a table, a list, one image, or a URI."""

import glob
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from infer.core.csv_files import read_csv
from infer.core.errors import ConfigError, DataError
from infer.core.remote import list_remote, uri_of
from infer.core.text import listed
from infer.dataset.layouts import GROUP_COLUMNS, paired_labels
from infer.dataset.locate import ImageIndex, find_all
from infer.images.archive import File, is_archive, list_members
from infer.images.listing import is_image, list_images, natural_key, no_images
from infer.model.card import ClassName, class_index

IMAGE_COLUMNS = ("path", "id", "image", "image_id", "filename", "file", "name", "img")
SAMPLE = "sample_submission.csv"
STANDARD_INPUT = "-"
INPUTS = (
    "give a folder, a CSV that names images, a .zip or .tar of images, a pattern such as 'cells/*.png', or an image"
)
LABEL_COLUMNS = ("label", "labels")


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
        self.folder, self.names = folder, names
        self.prefix = {".": "", "/": "/"}.get(str(folder), f"{folder}/")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: Any) -> Any:
        found = self.names[place]
        return self.prefix + found if isinstance(found, str) else Below(self.folder, found)


def read_inputs(source: Path, classes: Sequence[ClassName], image_column: str | None = None) -> Inputs:
    """List the images of `source`; `image_column` is a CSV's column that names them, where it is not one of ours.

    Raises:
        DataError: it does not exist, holds no image, or names images that are missing.
        ConfigError: a column is named, and `source` is no CSV.
    """
    is_csv = source.suffix.lower() in (".csv", ".txt")
    if image_column is not None and not is_csv:
        raise ConfigError(f"--image-column is for CSV files, and {source} is none; leave it out")
    if str(source) == STANDARD_INPUT:
        return _from_lines(sys.stdin.buffer)
    if uri := uri_of(source):
        return _from_remote(uri, classes)
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
            raise no_images(source)
        return _as_folder(source.parent, [member.name for member in members], members, classes)
    if is_csv:
        return _from_csv(source, image_column)
    if is_image(source.name):
        return Inputs(source.parent, [source.name], [str(source)])
    raise DataError(f"no images found: {source} is none of what lab reads; {INPUTS}")


def _from_folder(folder: Path, classes: Sequence[ClassName]) -> Inputs:
    names = list_images(folder)
    if not names:
        raise no_images(folder)
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


def _from_remote(uri: str, classes: Sequence[ClassName]) -> Inputs:
    """A folder of a remote system, or one image there. A sample is looked for where the program runs."""
    found = list_remote(uri)
    names = sorted((name for name in found if is_image(name) and not re.search(r"(^|/)\.", name)), key=natural_key)
    if not names:
        raise DataError(f"no images found in {uri}; by URI lab reads folders and single images")
    return _as_folder(Path(), names, [found[name] for name in names], classes)


def _from_lines(lines: Iterable[bytes]) -> Inputs:
    """One path a line, as `find` and `ls` print them; empty lines are left out."""
    names = [os.fsdecode(line.rstrip(b"\r\n")) for line in lines]
    names = [name for name in names if name]
    if not names:
        raise DataError("no images found: the standard input is empty; write one path a line")
    return Inputs(Path(), names, names)


def _from_csv(source: Path, image_column: str | None) -> Inputs:
    rows = read_csv(source)
    if not rows:
        raise DataError(f"no images found: {source} is empty; write one image a line")
    index = ImageIndex(source.parent)
    header = [name.lower() for name in rows[0]]
    column = column_of(header, (image_column.lower(),) if image_column is not None else IMAGE_COLUMNS)
    if column is None and image_column is not None:
        raise DataError(f"{source} has no column {image_column}, only {listed(rows[0], 20)}; give one of them")
    if column is None and len(header) == 1 and index.find(rows[0][0]) is not None:
        names = [row[0] for row in rows]  # one name a line and no header, as in train_img.csv
        files = _absolute(source, index, names)
        truth = source.with_name(source.name.replace("_img", "_label"))
        if truth != source and truth.is_file():
            return Inputs(source.parent, names, files, paired_labels(source, names, truth), truth.name)
        return Inputs(source.parent, names, files)
    if column is None:
        what = f"its first line is {listed(rows[0])}, neither an image that lies there nor a known header"
        raise DataError(f"no images found in {source}: {what}; name the column that has the images with --image-column")
    if not rows[1:]:
        raise DataError(f"no images found: {source} has a header and no rows")
    if any(len(row) < len(header) for row in rows):
        raise DataError(f"{source} has rows with fewer values than its {len(header)} columns; complete them")
    names = [row[column] for row in rows[1:]]
    files = _absolute(source, index, names)
    label = column_of(header, LABEL_COLUMNS)
    group = column_of(header, GROUP_COLUMNS)
    groups = [row[group] for row in rows[1:]] if group is not None and group != column else []
    if label is None or label == column or source.name == SAMPLE:  # a sample's labels stand for nothing
        return Inputs(source.parent, names, files, groups=groups)
    return Inputs(source.parent, names, files, [row[label] for row in rows[1:]], f"column {rows[0][label]}", groups)


def column_of(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The position in a lower-case header of the first of these names that it has."""
    return next((header.index(name) for name in names if name in header), None)


def _absolute(source: Path, index: ImageIndex, names: list[str]) -> list[str]:
    return [str(source.parent / path) for path in find_all(index, names, source)]
