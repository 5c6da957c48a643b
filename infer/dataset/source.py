"""Where a data set is described: a folder in a known layout, a labels table beside images, or a dataset card.

A dataset card is a TOML file with the options that describe one data set, so that it is described once and shared:

    labels = "HAM10000_metadata.csv"
    images = ["HAM10000_images_part_1", "HAM10000_images_part_2"]
    label_column = "dx"

Its paths are relative to the card.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from infer.config import LabelOptions
from infer.core.console import SILENT, Screen
from infer.core.errors import ConfigError, DataError
from infer.core.file_sets import finish_interrupted
from infer.core.parse import parse_toml
from infer.core.text import listed
from infer.dataset.columns import ColumnNames
from infer.dataset.label_file import SUFFIXES, read_label_file
from infer.dataset.labelled import read_labelled
from infer.dataset.layouts import read_listed
from infer.dataset.locate import ImageIndex, Missing
from infer.dataset.packed import Packed
from infer.dataset.packed_kinds import find_packed
from infer.dataset.packed_table import read_packed
from infer.dataset.rows import SPLIT_FILES, Reading, Row, make_table, without_uncertain
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
    keep_masks: bool = False
    """Whether files that look like masks of other images are images too."""

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
        OutputError: a split in the folder is not all in place, since it was interrupted, and cannot be written.
    """
    source = Source()
    if data is not None and data.is_dir():
        finish_interrupted(data / SPLIT_FILES[0], SPLIT_FILES)
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
        source,
        labels=options.labels or source.labels,
        images=options.images or source.images,
        columns=typed,
        keep_masks=options.keep_masks or source.keep_masks,
    )
    if data is not None and source.data is None and source.labels is None:
        raise DataError(
            f"the dataset card {data} names no data set; give it labels (a table) or data (a folder or file)"
        )
    has_tables = source.packed or (source.data is not None and (source.data / "train.csv").is_file())
    about_table = source.images or (source.columns != ColumnNames() and not has_tables)
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
        "keep_masks": source.keep_masks,
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
    reading = Reading(fold=fold, columns=source.columns, keep_masks=source.keep_masks)
    if source.labels is None:
        return read_listed(source.root, reading), reading.missing
    _require_no_fold(fold)
    table = read_label_file(source.labels)
    if table.header and not table.rows:
        raise DataError(f"{source.labels} has a header and no rows; add a row for each image")
    folders = source.images or (source.root,)
    if lost := [str(folder) for folder in folders if not folder.is_dir()]:
        raise DataError(f"the image folder {listed(lost)} does not exist; check --images")
    indices = [ImageIndex(folder, reading.skipped, source.labels) for folder in folders]
    labelled = read_labelled(table, source.columns, lambda name: any(index.has(name) for index in indices))
    del table  # millions of rows take as much memory as the result
    prefixes = [_prefix(folder, source.root) for folder in folders]
    seen: list[set[str]] = [set() for _ in indices]
    rows: list[Row] = []
    splits = labelled.splits or [TRAIN] * len(labelled.names)
    for name, label, group, split in zip(labelled.names, labelled.labels, labelled.groups, splits, strict=True):
        position, path = _find(name, indices) or (-1, name)
        if position < 0:
            reading.missing[name] = source.labels
        else:
            seen[position].add(path)
            path = os.path.join(prefixes[position], path)
        rows.append((path, label, group, split))
    for index, paths in zip(indices, seen, strict=True):
        reading.note_images(index, paths)
    if labelled.is_finding:
        rows = without_uncertain(rows, reading)
    return make_table(source.root, labelled.summary, rows, reading), reading.missing


def _require_no_fold(fold: int | None) -> None:
    if fold is not None:
        raise DataError("--fold is for C-NMC's folds, and the labels come from a table; leave it out")


def _find(name: str, indices: Sequence[ImageIndex]) -> tuple[int, str] | None:
    """Find an image by the name in a table: the position of its index, and its path there; None if there is none.

    Raises:
        DataError: several files have the name.
    """
    found = [(position, path) for position, index in enumerate(indices) if (path := index.find(name)) is not None]
    if len(found) > 1:
        files = {
            os.path.realpath(indices[position].root / path): indices[position].root / path for position, path in found
        }
        if len(files) > 1:
            names = listed([str(file) for file in files.values()])
            raise DataError(f"{name!r} may be {names}; write its path in the table, or name fewer --images")
    return found[0] if found else None


def _prefix(folder: Path, root: Path) -> str:
    """The path of a folder relative to `root` where it lies below, absolute elsewhere; "" for `root` itself."""
    below = os.path.relpath(folder, root).replace(os.sep, "/")
    if below == ".." or below.startswith("../"):
        return os.path.abspath(folder)
    return "" if below == "." else below


def _read_card(path: Path) -> Source:
    try:
        values = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the dataset card {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:
        raise DataError(f"the dataset card {path} is not TOML: {error}; correct it") from error
    columns = {f"{item.name}_column": item.name for item in fields(ColumnNames)}
    known = {"data", "labels", "images", "keep_masks", *columns}
    if unknown := sorted(set(values) - known):
        raise DataError(f"the dataset card {path} has {listed(unknown)}, and may have {listed(sorted(known), 9)}")
    texts = {name: value for name, value in values.items() if name not in ("images", "keep_masks")}
    images = values.get("images", [])
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not all(isinstance(text, str) for text in (*texts.values(), *images)):
        raise DataError(f"the dataset card {path}: images must be a list of folders, every other entry text")
    if any("\0" in text for text in (*texts.values(), *images)):
        raise DataError(f"the dataset card {path} has a NUL character in a text; take it out")
    if not isinstance(values.get("keep_masks", False), bool):
        raise DataError(f"the dataset card {path}: keep_masks must be true or false")
    here = path.parent
    return Source(
        data=here / texts["data"] if "data" in texts else None,
        labels=here / texts["labels"] if "labels" in texts else None,
        images=tuple(here / text for text in images),
        columns=ColumnNames(**{columns[name]: text for name, text in texts.items() if name in columns}),
        keep_masks=values.get("keep_masks", False),
    )
