"""Readers of data-set layouts: each recognises how a folder is laid out and returns a Table."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from infer.core.csv_files import read_csv
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_labels import sorted_labels
from infer.dataset.locate import ImageIndex, Missing, find_all
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table
from infer.images.listing import list_images
from infer.model.card import ClassName

SPLIT_NAMES = {TRAIN: ("train", "training"), VALID: ("valid", "val", "validation"), TEST: ("test", "testing")}
GROUP_COLUMNS = ("group", "patient", "patient_id", "subject")
CNMC_CLASSES = (ClassName("normal", "0"), ClassName("blast", "1"))
CNMC_FOLDERS = {"hem": 0, "all": 1}
CNMC_FOLD = 2

Row = tuple[str, str | None, str, str]
"""Path, label (None: not known), group and split of an image."""


def read_listed(folder: Path, fold: int | None = None) -> tuple[Table, Missing]:
    """Read a data set without checking it; a missing image keeps its row, under the name that its table gives it.

    Raises:
        DataError: no layout is recognised, or a table cannot be read.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"the data folder {folder} {problem}; check the path")
    read = next((reader for recognises, reader in LAYOUTS if recognises(folder)), None)
    if read is None:
        content = sorted(path.name for path in folder.iterdir())
        raise DataError(
            f"no data set recognised in {folder}, which holds {listed(content) or 'nothing'}; lab reads class folders, "
            "train.csv, train_img.csv with train_label.csv, and C-NMC's training_data/fold_*"
        )
    if fold is not None and read is not _read_cnmc:
        raise DataError(f"--fold chooses one of C-NMC's folds, but {folder} has another layout; leave --fold out")
    missing: Missing = {}
    return (read(folder, missing) if fold is None else _read_cnmc(folder, missing, fold)), missing


def hides_path_csv(folder: Path) -> bool:
    """Whether `read_table` would ignore a train.csv with Path and label in this folder for another layout there."""
    return _is_cnmc(folder) or _is_column_files(folder)


def parts(table: Table) -> tuple[str, ...]:
    """Return the part of each row, [n]: its split, or its fold in C-NMC's layout.

    Parts must share no patient and no picture.
    """
    if not _is_cnmc(table.root):
        return table.splits
    folds = [re.match(r"training_data/(fold_\d+)/", path) for path in table.paths]
    return tuple(fold[1] if fold else split for fold, split in zip(folds, table.splits, strict=True))


def _is_cnmc(folder: Path) -> bool:
    return any((folder / "training_data").glob("fold_*"))


def _read_cnmc(folder: Path, missing: Missing, fold: int = CNMC_FOLD) -> Table:
    """Read C-NMC 2019 as distributed: `hem` is 0, normal, and `all` is 1, blast; the subject follows `UID_`."""
    rows: list[Row] = []
    for path in list_images(folder):
        parts = path.split("/")
        if parts[0] != "training_data":
            rows.append((path, None, "", TEST))
            continue
        match = re.fullmatch(r"training_data/fold_(\d+)/(all|hem)/UID_([^_/]+)_[^/]*", path)
        if match is None:
            raise DataError(
                f"{folder / path} is not named as C-NMC distributes it, fold_N/all or hem/UID_SUBJECT_...; "
                "rename it or move it elsewhere"
            )
        label = CNMC_CLASSES[CNMC_FOLDERS[match[2]]].label
        rows.append((path, label, match[3], VALID if int(match[1]) == fold else TRAIN))
    if not any(row[3] == VALID for row in rows):
        folds = sorted(path.name for path in (folder / "training_data").glob("fold_*"))
        raise DataError(f"there is no fold {fold} in {folder}, only {listed(folds)}; give one of them with --fold")
    return to_table(folder, f"C-NMC 2019, validation on fold {fold}", rows, CNMC_CLASSES)


def _is_column_files(folder: Path) -> bool:
    return (folder / "train_img.csv").is_file()


def _read_column_files(folder: Path, missing: Missing) -> Table:
    """Read `train_img.csv` and `train_label.csv` (and valid_, test_): one value per line, no header, no suffix."""
    index = ImageIndex(folder)
    rows: list[Row] = []
    for split, name in [(split, name) for split, names in SPLIT_NAMES.items() for name in names]:
        images, labels = folder / f"{name}_img.csv", folder / f"{name}_label.csv"
        if not images.is_file():
            continue
        names = [row[0] for row in read_csv(images)]
        values: Sequence[str | None] = [None] * len(names)
        if labels.is_file() or split != TEST:
            values = paired_labels(images, names, labels)
        paths = find_all(index, names, images, missing)
        rows += [(path, value, "", split) for path, value in zip(paths, values, strict=True)]
    return to_table(folder, "train_img.csv with train_label.csv", rows)


def paired_labels(images: Path, names: list[str], labels: Path) -> list[str]:
    """Read the labels of `<split>_label.csv`, one per line, for the names of `<split>_img.csv`.

    Raises:
        DataError: the label file is missing or differs in length.
    """
    values = [row[0] for row in read_csv(labels)]
    if len(values) != len(names):
        raise DataError(
            f"{labels} has {len(values)} labels for the {len(names)} images of {images}; give one label per image"
        )
    return values


def _is_path_csv(folder: Path) -> bool:
    return (folder / "train.csv").is_file()


def _read_path_csv(folder: Path, missing: Missing) -> Table:
    """Read `train.csv` and `valid.csv` with Path and label, and any `*_test.csv` with Path and an optional label."""
    index = ImageIndex(folder)
    rows: list[Row] = []
    test_files = sorted(file for file in folder.glob("*test.csv") if re.fullmatch(r"([^.].*_)?test\.csv", file.name))
    named = [(folder / f"{name}.csv", split) for split in (TRAIN, VALID) for name in SPLIT_NAMES[split]]
    for file, split in (*named, *((file, TEST) for file in test_files)):
        if file.is_file():
            rows += _read_one_csv(file, split, index, missing)
    tests = _merged([row for row in rows if row[3] == TEST])
    return to_table(folder, "train.csv with Path and label", [row for row in rows if row[3] != TEST] + tests)


def _merged(rows: list[Row]) -> list[Row]:
    """Merge the rows of several files into one per path, with the label and the group that any of them gives.

    Two labels for one path stay two rows, which `check_listed` refuses.
    """
    labels: dict[str, dict[str | None, None]] = {}
    groups: dict[str, str] = {}
    for path, label, group, _ in rows:
        labels.setdefault(path, {}).update({label: None} if label is not None else {})
        groups[path] = groups.get(path) or group
    return [(path, label, groups[path], TEST) for path, known in labels.items() for label in known or {None: None}]


def _read_one_csv(file: Path, split: str, index: ImageIndex, missing: Missing) -> list[Row]:
    header, *lines = read_csv(file) or [[]]
    columns = {name.lower(): position for position, name in enumerate(header)}
    needed = ("path",) if split == TEST else ("path", "label")
    if not set(needed) <= set(columns):
        names = " and ".join(name.capitalize() if name == "path" else name for name in needed)
        raise DataError(f"{file} has the columns {listed(header) or 'none'}; it needs {names} in its first line")
    if short := next((line for line in lines if len(line) < len(header)), None):
        raise DataError(f"{file}: the row {short} has fewer values than the {len(header)} columns; complete it")
    paths = find_all(index, [line[columns["path"]] for line in lines], file, missing)
    group = next((columns[name] for name in GROUP_COLUMNS if name in columns), None)
    return [
        (
            path,
            (line[columns["label"]] or None) if "label" in columns else None,
            line[group] if group is not None else "",
            split,
        )
        for path, line in zip(paths, lines, strict=True)
    ]


def _is_class_folders(folder: Path) -> bool:
    return any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir())


def _read_class_folders(folder: Path, missing: Missing) -> Table:
    """Read a folder per class, below train, valid and test folders or without them; a test folder may be flat."""
    names = {path.name.lower(): path.name for path in folder.iterdir() if path.is_dir()}
    split_folders = {
        split: next((names[name] for name in usual if name in names), None) for split, usual in SPLIT_NAMES.items()
    }
    train = split_folders[TRAIN]
    if not any(split_folders.values()):
        rows: list[Row] = [(path, path.split("/")[0], "", TRAIN) for path in list_images(folder) if "/" in path]
        return to_table(folder, "a folder per class, no splits", rows)
    rows = []
    classes = {path.name for path in (folder / train).iterdir() if path.is_dir()} if train else set()
    for split, name in split_folders.items():
        paths = list_images(folder / name) if name else []
        labels = [path.split("/")[0] if "/" in path else None for path in paths]
        flat = split == TEST and train is not None and not classes & set(labels)
        rows += [
            (f"{name}/{path}", None if flat else label, "", split) for path, label in zip(paths, labels, strict=True)
        ]
    return to_table(folder, "a folder per class in train, valid, test", rows)


LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Missing], Table]], ...] = (
    (_is_cnmc, _read_cnmc),
    (_is_column_files, _read_column_files),
    (_is_path_csv, _read_path_csv),
    (_is_class_folders, _read_class_folders),
)
"""How to recognise each layout, and its reader; the first that matches is used."""


def to_table(folder: Path, layout: str, rows: list[Row], classes: tuple[ClassName, ...] = ()) -> Table:
    """Make a Table of rows; without `classes` they are the labels, with the names of `classes.csv` (label, name)."""
    if not classes:
        labels = sorted_labels({label for _, label, _, _ in rows if label is not None})
        names_file = folder / "classes.csv"
        names = {row[0]: row[1] for row in read_csv(names_file) if len(row) == 2} if names_file.is_file() else {}
        classes = tuple(ClassName(names.get(label, label), label) for label in labels)
    known = {item.label: index for index, item in enumerate(classes)}
    return Table(
        name=folder.resolve().name,
        layout=layout,
        root=folder,
        classes=classes,
        paths=tuple(row[0] for row in rows),
        labels=np.array([UNKNOWN if row[1] is None else known[row[1]] for row in rows], dtype=np.int64),
        groups=tuple(row[2] for row in rows),
        splits=tuple(row[3] for row in rows),
    )
