"""INPUT of `lab predict`: the images of a folder, an archive, a table, a list, a pattern or a URI, or one image."""

import glob
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from infer.core.csv_files import read_csv
from infer.core.errors import ConfigError, DataError
from infer.core.remote import list_remote, uri_of
from infer.core.text import listed
from infer.dataset.known_headers import GROUP_NAMES
from infer.dataset.layouts import paired_labels
from infer.dataset.locate import ImageIndex, find_all
from infer.images.archive import File, is_archive, list_members
from infer.images.listing import is_image, list_images, natural_key, no_images
from infer.images.skipped import Skipped
from infer.model.card import ClassName, class_index

IMAGE_COLUMNS = ("path", "id", "image", "image_id", "filename", "file", "name", "img")
SAMPLE = "sample_submission.csv"
SAMPLE_NAMES = re.compile(
    r"sample[ _.-]*subm|sample[ _.-]*sub$|subm\w*[ _.-]*(format|sample|template|example)|example[ _.-]*subm", re.I
)
"""Names of sample submissions: Kaggle's `sample_submission`, `sampleSubmission`, DrivenData's `submission_format`."""
STANDARD_INPUT = "-"
INPUT_KINDS = (
    "give a folder, a CSV that names images, a .zip or .tar of images, a pattern such as 'cells/*.png', or an image"
)
LABEL_COLUMNS = ("label", "labels")


@dataclass(frozen=True)
class Inputs:
    """The n images to predict, in order."""

    root: Path
    """The folder of the images, or of the file that names them."""
    names: list[str]
    """[n] the images' names in the CSV: relative to the folder, or as the input CSV has them."""
    files: Sequence[File]
    """[n] the images' paths, members of an archive, or remote files."""
    labels: list[str] | None = None
    """[n] the true labels as text; None where the input has none."""
    labels_from: str = ""
    """Where the labels were found, for messages."""
    groups: Sequence[str] = ()
    """[n] the patient of each image, "" where unknown; empty where the input names no patients."""
    note: str = ""
    """Which files of a folder or an archive were skipped, in words; "" where none were."""

    def in_order(self, order: Sequence[int]) -> "Inputs":
        """The inputs at these indices, in this order; `self` where they are all, as they are."""
        if order == range(len(self.names)):
            return self
        return replace(
            self,
            names=[self.names[index] for index in order],
            files=[self.files[index] for index in order],
            labels=[self.labels[index] for index in order] if self.labels else None,
            groups=[self.groups[index] for index in order] if self.groups else (),
        )


class FolderPaths(Sequence[str]):
    """The paths of a folder's images, joined on access, so that a million of them take no memory."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`names` are relative to `folder`, with `/` as their separator."""
        self.folder, self.names = folder, names
        self.prefix = {".": "", "/": "/"}.get(str(folder), f"{folder}/")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        name = self.names[index]
        return self.prefix + name if isinstance(name, str) else FolderPaths(self.folder, name)


def read_inputs(source: Path, classes: Sequence[ClassName], image_column: str | None = None) -> Inputs:
    """List the images of INPUT.

    Args:
        source: a folder, archive, CSV, pattern, image, URI, or `-` for standard input.
        classes: whose labels and names may be names of class folders.
        image_column: the column of a CSV that names the images; None: the first of IMAGE_COLUMNS.

    Raises:
        DataError: it does not exist, holds no image, or names images that are missing.
        ConfigError: `image_column` is given, and `source` is not a CSV.
    """
    is_csv = source.suffix.lower() in (".csv", ".txt")
    if image_column is not None and not is_csv:
        raise ConfigError(f"--image-column is for CSV files, and INPUT is {source}; leave it out")
    if str(source) == STANDARD_INPUT:
        return _from_lines(sys.stdin.buffer)
    if uri := uri_of(source):
        return _from_remote(uri, classes)
    try:
        is_folder = source.is_dir()
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}; check the path") from error
    if is_folder:
        return _from_folder(source, classes)
    if not source.exists():
        if matches := _glob(source):
            return _as_folder(*matches, classes)
        raise DataError(f"the input {source} does not exist; {INPUT_KINDS}")
    if is_archive(source):
        skipped = Skipped()
        members = list_members(source, skipped)
        if not members:
            raise no_images(source, skipped.summary())
        inputs = _as_folder(source.parent, [member.name for member in members], members, classes)
        return replace(inputs, note=skipped.summary())
    if is_csv:
        return _from_csv(source, image_column)
    if is_image(source.name):
        return Inputs(source.parent, [source.name], [str(source)])
    raise DataError(f"no images found: {source} is not a file that lab reads; {INPUT_KINDS}")


def _from_folder(folder: Path, classes: Sequence[ClassName]) -> Inputs:
    skipped = Skipped()
    names = list_images(folder, skipped, tables=[file.name for file in folder.glob("*.csv")])
    if not names:
        raise no_images(folder, skipped.summary())
    return replace(_as_folder(folder, names, FolderPaths(folder, names), classes), note=skipped.summary())


def _as_folder(root: Path, names: list[str], files: Sequence[File], classes: Sequence[ClassName]) -> Inputs:
    """Inputs labelled by the folders in their names, where all of these are classes."""
    known = set(class_index(classes))
    for level in (0, -2):  # the first folder, as in a split of a data set, or else the last
        labels = [parts[level] if len(parts := name.split("/")) > 1 else "" for name in names]
        if set(labels) <= known:
            return Inputs(root, names, files, labels, "class folders")
    return Inputs(root, names, files)


def _glob(pattern: Path) -> tuple[Path, list[str], list[str]] | None:
    """The images that match a pattern with `*`, `**`, `?` or `[...]`.

    Returns:
        The folder before the first of these, the images' names relative to it, and their paths; None: no match.
    """
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    paths = [path for path in glob.glob(str(pattern), recursive=True) if is_image(path) and os.path.isfile(path)]
    by_name = {os.path.relpath(path, fixed).replace(os.sep, "/"): path for path in paths}
    names = sorted(by_name, key=natural_key)
    return (fixed, names, [by_name[name] for name in names]) if names else None


def _from_remote(uri: str, classes: Sequence[ClassName]) -> Inputs:
    """A remote folder or image; a sample submission is looked for in the local working folder."""
    files = list_remote(uri)
    names = sorted((name for name in files if is_image(name) and not re.search(r"(^|/)\.", name)), key=natural_key)
    if not names:
        raise DataError(f"no images found in {uri}; by URI lab reads folders and single images")
    return _as_folder(Path(), names, [files[name] for name in names], classes)


def _from_lines(lines: Iterable[bytes]) -> Inputs:
    """One path per line, as `find` and `ls` print them; empty lines are skipped."""
    names = [os.fsdecode(line.rstrip(b"\r\n")) for line in lines]
    names = [name for name in names if name]
    if not names:
        raise DataError("no images found: the standard input is empty; write one path per line")
    return Inputs(Path(), names, names)


def _from_csv(source: Path, image_column: str | None) -> Inputs:
    rows = read_csv(source)
    if not rows:
        raise DataError(f"no images found: {source} is empty; write one image per line")
    index = ImageIndex(source.parent)
    header = [name.lower() for name in rows[0]]
    column = column_of(header, (image_column.lower(),) if image_column is not None else IMAGE_COLUMNS)
    if column is None and image_column is not None:
        raise DataError(f"{source} has no column {image_column}, only {listed(rows[0], 20)}; give one of these")
    if column is None and len(header) == 1 and index.find(rows[0][0]) is not None:
        return _without_header(source, index, [row[0] for row in rows])
    if column is None:
        reason = f"its first line is {listed(rows[0])}, neither an existing image nor a known header"
        raise DataError(f"no images found in {source}: {reason}; name the column of the images with --image-column")
    if not rows[1:]:
        raise DataError(f"no images found: {source} has a header and no rows")
    if any(len(row) < len(header) for row in rows):
        raise DataError(f"{source} has rows with fewer values than its {len(header)} columns; complete them")
    names = [row[column] for row in rows[1:]]
    files = _absolute(source, index, names)
    label, group = column_of(header, LABEL_COLUMNS), column_of(header, GROUP_NAMES)
    groups = [row[group] for row in rows[1:]] if group is not None and group != column else []
    if label is None or label == column or is_sample(source):  # the labels of a sample are placeholders
        return Inputs(source.parent, names, files, groups=groups)
    return Inputs(source.parent, names, files, [row[label] for row in rows[1:]], f"column {rows[0][label]}", groups)


def _without_header(source: Path, index: ImageIndex, names: list[str]) -> Inputs:
    """One name per line, as in train_img.csv, with the labels of train_label.csv where that exists."""
    files = _absolute(source, index, names)
    labels = source.with_name(source.name.replace("_img", "_label"))
    if labels != source and labels.is_file():
        return Inputs(source.parent, names, files, paired_labels(source, names, labels), labels.name)
    return Inputs(source.parent, names, files)


def is_sample(table: Path) -> bool:
    """Whether a table is a sample submission by its name; its labels are placeholders."""
    return SAMPLE_NAMES.search(table.stem) is not None


def column_of(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The index in a lower-case header of the first of these names that it has."""
    return next((header.index(name) for name in names if name in header), None)


def _absolute(source: Path, index: ImageIndex, names: list[str]) -> list[str]:
    return [str(source.parent / path) for path in find_all(index, names, source)]
