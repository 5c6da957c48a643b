"""INPUT of `lab predict`: the images of a folder, an archive, a table, a list, a pattern or a URI, or one image."""

import glob
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from infer.core.errors import ConfigError, DataError
from infer.core.remote import list_remote, uri_of
from infer.dataset.delimited import cells_of, read_column, read_first_line
from infer.dataset.known_headers import names_images
from infer.dataset.label_file import read_label_file
from infer.dataset.locate import ImageIndex, find_all
from infer.images.archive import File, is_archive, is_read, list_members
from infer.images.listing import is_image, is_image_file, list_images, natural_key, no_images
from infer.images.skipped import OTHER, Skipped
from infer.model.card import ClassName, class_index
from infer.tables.input_table import read_rows
from infer.tables.path_list import find_paths, split_paths

LIST = ".txt"
TABLES = (".csv", ".tsv", ".tab", ".jsonl", LIST)
"""Suffixes of inputs that list images in an order that the user chose; a `.txt` is a table if its header is known."""
STANDARD_INPUT = "-"
ESCAPED = re.compile(r"\[([*?[])\]")
"""A character that a pattern takes for itself."""
INPUT_KINDS = (
    "give a folder, a CSV that names images, a .zip or .tar of images, a pattern such as 'cells/*.png', or an image"
)


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
    """The paths of images, joined with their folder on access, so that a million of them take no memory."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`names` are relative to `folder`, with `/` as their separator, or absolute."""
        self.folder, self.names = folder, names
        self.prefix = {".": "", "/": "/"}.get(str(folder), f"{folder}/")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        name = self.names[index]
        if not isinstance(name, str):
            return FolderPaths(self.folder, name)
        return name if os.path.isabs(name) else self.prefix + name


def read_inputs(
    source: Path, classes: Sequence[ClassName], image_column: str | None = None, label_column: str | None = ""
) -> Inputs:
    """List the images of INPUT.

    Args:
        source: a folder, archive, table, list, pattern, image, URI, or `-` for standard input.
        classes: whose labels and names may be names of class folders.
        image_column: the column of a table that names the images; None: by its header (see `find_columns`).
        label_column: the column of its labels; "": by its header; None: its labels are not read.

    Raises:
        DataError: it does not exist, holds no image, or names images that are missing.
        ConfigError: a column is named, and `source` is not a table.
    """
    is_table = source.suffix.lower() in TABLES
    if image_column is not None and not is_table:
        raise ConfigError(f"--image-column is for CSV files and other tables, and INPUT is {source}; leave it out")
    if label_column and not is_table:
        raise ConfigError(f"--label-column is for --truth and for tables, and INPUT is {source}; leave it out")
    if str(source) == STANDARD_INPUT:
        return _from_lines(_standard_input())
    if uri := uri_of(source):
        return _from_remote(uri, classes)
    try:
        is_folder = source.is_dir()
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}; check the path") from error
    if is_folder:
        return _from_folder(source, classes)
    if not source.exists():
        skipped = Skipped()
        if matches := _glob(source, skipped):
            return replace(_as_folder(*matches, classes), note=skipped.summary())
        raise DataError(f"the input {source} does not exist; {INPUT_KINDS}")
    if is_archive(source):
        skipped = Skipped()
        members = list_members(source, skipped)
        if not members:
            raise no_images(source, skipped.summary())
        inputs = _as_folder(source.parent, [member.name for member in members], members, classes)
        return replace(inputs, note=skipped.summary())
    if is_table:
        return _from_table(source, image_column or "", label_column)
    if is_image_file(str(source)):
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


def _glob(pattern: Path, skipped: Skipped) -> tuple[Path, list[str], list[str]] | None:
    """The images that match a pattern with `*`, `**`, `?` or `[...]`; other files are counted.

    Returns:
        The folder before the first of these, the images' names relative to it, and their paths; None: no match.
    """
    fixed = Path(*(ESCAPED.sub(r"\1", part) for part in takewhile(_is_fixed, pattern.parts)))
    paths = []
    for path in filter(os.path.isfile, glob.glob(str(pattern), recursive=True)):
        if is_image_file(path):
            paths.append(path)
        else:
            skipped.add(OTHER, os.path.splitext(path)[1].lower() or "no suffix")
    by_name = {os.path.relpath(path, fixed).replace(os.sep, "/"): path for path in paths}
    names = sorted(by_name, key=natural_key)
    return (fixed, names, [by_name[name] for name in names]) if names else None


def _is_fixed(part: str) -> bool:
    """Whether a part of a pattern means one name."""
    return not glob.has_magic(ESCAPED.sub("", part))


def _from_remote(uri: str, classes: Sequence[ClassName]) -> Inputs:
    """A remote folder or image; a sample submission is looked for in the local working folder."""
    files, skipped = list_remote(uri), Skipped()
    names = sorted((name for name in files if is_read(name, skipped)), key=natural_key)
    if not names:
        remedy = "; ".join(["by URI lab reads folders and single images", *filter(None, [skipped.summary()])])
        raise DataError(f"no images found in {uri}; {remedy}")
    return replace(_as_folder(Path(), names, [files[name] for name in names], classes), note=skipped.summary())


def _standard_input() -> bytes:
    if sys.stdin is None:  # as where a daemon has closed it
        raise DataError("the standard input is closed; give INPUT a folder, or a file with a path per line")
    return sys.stdin.buffer.read()


def _from_lines(content: bytes) -> Inputs:
    """A list on standard input; its paths are kept as they are written, and need not lie below one folder."""
    names = split_paths(content, "the standard input")
    if not names:
        raise DataError("no images found: the standard input is empty; write one path per line")
    return Inputs(Path(), names, names)


def _from_table(source: Path, image_column: str, label_column: str | None) -> Inputs:
    names = None if image_column or label_column else _names_alone(source)
    if names is not None:
        return _from_list(source, names)
    table = read_label_file(source)
    if not table.header:
        raise DataError(f"no images found: {source} is empty; write one image per line")
    index = ImageIndex(source.parent)
    read, note = read_rows(table, image_column, label_column, index)
    if not table.rows:
        raise DataError(f"no images found: {source} has a header and no rows; add a row for each image")
    has_labels = any(label is not None for label in read.labels)
    paths = find_all(index, read.names, source)
    return Inputs(
        root=source.parent,
        names=read.names,
        files=FolderPaths(source.parent, paths),
        labels=[label or "" for label in read.labels] if has_labels else None,
        labels_from=(f"column {read.label_column}" if read.label_column else "one-hot columns") if has_labels else "",
        groups=read.groups if any(read.groups) else [],
        note=note,
    )


def _names_alone(source: Path) -> list[str] | None:
    """The lines of a list of images; None where the file is a table with a header."""
    is_list = source.suffix.lower() == LIST
    try:
        lines = split_paths(source.read_bytes(), source) if is_list else [read_first_line(source)]
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}; check the path") from error
    if lines and names_images(cells_of(lines[0])) and not (source.parent / lines[0]).is_file():
        return None
    if is_list:
        return lines
    try:
        names = read_column(source)
    except DataError:  # a table, or a damaged one: its reader says what is wrong
        return None
    return names if names and (is_image(names[0]) or ImageIndex(source.parent).has(names[0])) else None


def _from_list(source: Path, lines: list[str]) -> Inputs:
    """One name per line, as in train_img.csv, with the labels of train_label.csv where that exists."""
    if not lines:
        raise DataError(f"no images found: {source} is empty; write one image per line")
    names, files = find_paths(source, lines)
    labels = source.with_name(source.name.replace("_img", "_label"))
    if labels != source and labels.is_file():
        from infer.dataset.layouts import paired_labels  # late: it loads all layouts, which one image does not need

        return Inputs(source.parent, names, files, paired_labels(source, names, labels), labels.name)
    return Inputs(source.parent, names, files)
