"""Where a data set is described: a folder in a known layout, a labels table beside images, or a dataset card.

A dataset card is a TOML file with the options that describe one data set, so that it is described once and shared:

    labels = "HAM10000_metadata.csv"
    images = ["HAM10000_images_part_1", "HAM10000_images_part_2"]
    label_column = "dx"

Its paths are relative to the card.
"""

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from infer.config import LabelOptions
from infer.core.console import SILENT, Screen
from infer.core.errors import ConfigError, DataError
from infer.core.text import listed
from infer.dataset.columns import ColumnNames
from infer.dataset.label_file import SUFFIXES, read_label_file
from infer.dataset.labelled import read_labelled
from infer.dataset.layouts import Row, read_listed, to_table
from infer.dataset.locate import ImageIndex, Missing
from infer.dataset.packed import Packed
from infer.dataset.packed_kinds import find_packed
from infer.dataset.packed_table import read_packed
from infer.dataset.table import TRAIN, Table
from infer.dataset.validation import check_listed

CARD_SUFFIX = ".toml"


@dataclass(frozen=True)
class Source:
    """A data set as it is described, its paths as seen from where the program runs."""

    data: Path | None = None
    """A folder, or a file that holds its images."""
    labels: Path | None = None
    images: tuple[Path, ...] = ()
    columns: ColumnNames = ColumnNames()

    @property
    def packed(self) -> Packed | None:
        """The files that hold the images, where no labels table describes them. Raises DataError."""
        return find_packed(self.data) if self.data is not None and self.labels is None else None

    @property
    def root(self) -> Path:
        """The folder to which the paths of the table are relative."""
        if self.data is not None:
            return self.data
        if len(self.images) == 1:
            return self.images[0]
        return self.labels.parent if self.labels else Path()


def find_source(data: Path | None, options: LabelOptions) -> Source:
    """What a path and the options of a command describe; options replace what a dataset card says.

    Args:
        data: a folder, a dataset card, a labels table, or None where the options name a table.
        options: --labels, --images and the columns.

    Raises:
        ConfigError: columns or folders are named, and there is no table that they are of.
        DataError: the card cannot be read, or has unknown entries.
    """
    source = Source()
    if data is not None and data.suffix.lower() == CARD_SUFFIX:
        source = _read_card(data)
    elif data is not None and data.suffix.lower() in SUFFIXES and data.is_file() and not find_packed(data):
        source = Source(labels=data)
    elif data is not None:
        source = Source(data=data)
    typed = ColumnNames(
        image=options.image_column or source.columns.image,
        label=options.label_column or source.columns.label,
        group=options.group_column or source.columns.group,
        split=options.split_column or source.columns.split,
    )
    source = replace(
        source, labels=options.labels or source.labels, images=options.images or source.images, columns=typed
    )
    about_table = source.images or (source.columns != ColumnNames() and not source.packed)
    if source.labels is None and about_table:
        raise ConfigError("--images and the columns are about a labels table; name it with --labels")
    return source


def resolve_options(data: Path | None, options: LabelOptions) -> dict[str, Any]:
    """The options by name, with what a dataset card adds and with absolute paths: good from any folder."""
    source = find_source(data, options)
    return {
        "labels": source.labels.resolve() if source.labels else None,
        "images": tuple(folder.resolve() for folder in source.images),
        **{f"{item.name}_column": getattr(source.columns, item.name) for item in fields(ColumnNames)},
    }


def read_table(
    data: Path | None, fold: int | None = None, options: LabelOptions | None = None, screen: Screen = SILENT
) -> Table:
    """Read and check a data set that a path, and options, describe.

    Args:
        data: a folder, a file that holds its images, a labels table or a dataset card.
        fold: C-NMC's validation fold; 2 if None.
        options: --labels, --images and the columns.
        screen: says where images that are inside files were unpacked.

    Raises:
        ConfigError: as `find_source`.
        DataError: no layout is recognised, images or labels are missing, or an image has two labels.
    """
    table, missing = read_source(find_source(data, options or LabelOptions()), fold, screen)
    check_listed(table, missing)
    return table


def read_source(source: Source, fold: int | None = None, screen: Screen = SILENT) -> tuple[Table, Missing]:
    """Read a data set without its checks; an image that is missing keeps its row, under the name that the table gives.

    Images that are inside files are unpacked into lab's cache first, which is said.

    Raises:
        DataError: no layout is recognised, or a table or a file cannot be read.
        MissingExtraError: a library that reads the file is not installed.
        OutputError: the cache cannot be written.
    """
    if packed := source.packed:
        _require_no_fold(fold)
        return read_packed(packed, source.columns, screen), {}
    if source.labels is None:
        return read_listed(source.root, fold)
    _require_no_fold(fold)
    table = read_label_file(source.labels)
    folders = source.images or (source.root,)
    if lost := [str(folder) for folder in folders if not folder.is_dir()]:
        raise DataError(f"the image folder {listed(lost)} does not exist; check --images")
    find = _finder(folders, source.root)
    labelled = read_labelled(table, source.columns, lambda name: find(name) is not None)
    missing: Missing = {}
    rows: list[Row] = []
    splits = labelled.splits or [TRAIN] * len(labelled.names)
    for name, label, group, split in zip(labelled.names, labelled.labels, labelled.groups, splits, strict=True):
        path = find(name)
        if path is None:
            missing[name] = source.labels
        rows.append((name if path is None else path, label, group, split))
    return to_table(source.root, labelled.summary, rows), missing


def _require_no_fold(fold: int | None) -> None:
    if fold is not None:
        raise DataError("--fold is for C-NMC's folds, and the labels come from a table; leave it out")


def _finder(folders: tuple[Path, ...], root: Path) -> Callable[[str], str | None]:
    """A function from the name of an image to its path, relative to `root` where it lies below."""
    indices = [ImageIndex(folder) for folder in folders]

    def find(name: str) -> str | None:
        found: dict[str, Path] = {}
        for index in indices:
            path = index.find(name)
            if path is not None:
                found.setdefault(os.path.realpath(index.root / path), index.root / path)
        if len(found) > 1:
            places = listed([str(path) for path in found.values()])
            raise DataError(f"{name!r} may be {places}; write its path in the table, or name fewer --images")
        if not found:
            return None
        file = next(iter(found.values()))
        below = os.path.relpath(file, root).replace(os.sep, "/")
        return below if not below.startswith("../") else os.path.abspath(file)

    return find


def _read_card(path: Path) -> Source:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the dataset card {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:
        raise DataError(f"the dataset card {path} is not TOML: {error}; correct it") from error
    columns = {f"{item.name}_column": item.name for item in fields(ColumnNames)}
    known = {"data", "labels", "images", *columns}
    if unknown := sorted(set(values) - known):
        raise DataError(f"the dataset card {path} has {listed(unknown)}, and may have {listed(sorted(known), 9)}")
    texts = {name: value for name, value in values.items() if name != "images"}
    images = values.get("images", [])
    images = [images] if isinstance(images, str) else images
    if not all(isinstance(text, str) for text in (*texts.values(), *images)):
        raise DataError(f"the dataset card {path} : images must be a list of folders, every other entry text")
    here = path.parent
    return Source(
        data=here / texts["data"] if "data" in texts else None,
        labels=here / texts["labels"] if "labels" in texts else None,
        images=tuple(here / text for text in images),
        columns=ColumnNames(**{columns[name]: text for name, text in texts.items() if name in columns}),
    )
