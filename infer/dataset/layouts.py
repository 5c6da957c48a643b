"""Readers of data-set layouts: each recognises how a folder is laid out and returns a Table."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_folders import is_class_folders, read_class_folders
from infer.dataset.delimited import read_column
from infer.dataset.findings_columns import CellFinding
from infer.dataset.folder_names import SPLIT_NAMES
from infer.dataset.label_file import read_label_file
from infer.dataset.labelled import read_labelled
from infer.dataset.locate import ImageIndex, find_all
from infer.dataset.naming_table import naming_table
from infer.dataset.packed_kinds import KIND_NAMES, unrecognised_files
from infer.dataset.rows import Reading, Row, make_table, without_uncertain
from infer.dataset.table import TEST, TRAIN, VALID, Table
from infer.images.archive import is_archive
from infer.images.listing import list_images
from infer.model.card import ClassName

CNMC_CLASSES = (ClassName("normal", "0"), ClassName("blast", "1"))
CNMC_FOLDERS = {"hem": 0, "all": 1}
CNMC_FOLD = 2


def read_listed(folder: Path, reading: Reading) -> Table:
    """Read a data folder without checking it; a missing image keeps its row, under the name that its table gives it.

    Raises:
        DataError: no layout is recognised, or a table cannot be read.
    """
    if not folder.is_dir():
        if folder.exists() and is_archive(folder):
            raise DataError(f"the data folder {folder} is an archive; unpack it, and give the folder")
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"the data folder {folder} {problem}; check the path")
    read = next((reader for recognises, reader in LAYOUTS if recognises(folder)), None)
    if read is None:
        content = sorted(path.name for path in folder.iterdir())
        if unread := unrecognised_files(folder):
            raise DataError(
                f"no data set recognised in {folder}: no images with labels in {listed(unread)}; name "
                f"{folder / unread[0]} to see what it lacks"
            )
        table = naming_table(folder, list_images(folder))
        remedy = (
            f"give the labels with --labels {table.file}"
            if table
            else "lab reads class folders, train.csv, train_img.csv with train_label.csv, and C-NMC's "
            f"training_data/fold_*, and files that hold images: {KIND_NAMES}; other tables are named with --labels"
        )
        raise DataError(f"no data set recognised in {folder}, which holds {listed(content) or 'nothing'}; {remedy}")
    if reading.fold is not None and read is not _read_cnmc:
        raise DataError(f"--fold chooses one of C-NMC's folds, but {folder} has another layout; leave --fold out")
    return read(folder, reading)


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


def _read_cnmc(folder: Path, reading: Reading) -> Table:
    """Read C-NMC 2019 as distributed: `hem` is 0, normal, and `all` is 1, blast; the subject follows `UID_`."""
    fold = CNMC_FOLD if reading.fold is None else reading.fold
    rows: list[Row] = []
    for path in list_images(folder, reading.skipped):
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
        raise DataError(f"there is no fold {fold} in {folder}, only {listed(folds)}; lab train --fold takes one")
    return make_table(folder, f"C-NMC 2019, validation on fold {fold}", rows, reading, CNMC_CLASSES)


def _is_column_files(folder: Path) -> bool:
    return (folder / "train_img.csv").is_file()


def _read_column_files(folder: Path, reading: Reading) -> Table:
    """Read `train_img.csv` and `train_label.csv` (and valid_, test_): one value per line, no header, no suffix."""
    index = ImageIndex(folder, reading.skipped)
    rows: list[Row] = []
    for split, name in [(split, name) for split, names in SPLIT_NAMES.items() for name in names]:
        images, labels = folder / f"{name}_img.csv", folder / f"{name}_label.csv"
        if not images.is_file():
            continue
        names = read_column(images)
        values: Sequence[str | None] = [None] * len(names)
        if labels.is_file() or split != TEST:
            values = paired_labels(images, names, labels)
        paths = find_all(index, names, images, reading.missing)
        rows += [(path, value, "", split) for path, value in zip(paths, values, strict=True)]
    reading.note_images(index, [row[0] for row in rows])
    return make_table(folder, "train_img.csv with train_label.csv", rows, reading)


def paired_labels(images: Path, names: list[str], labels: Path) -> list[str]:
    """Read the labels of `<split>_label.csv`, one per line, for the names of `<split>_img.csv`.

    Raises:
        DataError: the label file is missing or differs in length.
    """
    values = read_column(labels)
    if len(values) != len(names):
        raise DataError(
            f"{labels} has {len(values)} labels for the {len(names)} images of {images}; give one label per image"
        )
    return values


@dataclass
class _Findings:
    """What the tables of a set have in place of labels, so that all of them are read alike."""

    columns: set[str] = field(default_factory=set)
    """Columns of marks of a finding."""
    in_cells: CellFinding | None = None


def _is_path_csv(folder: Path) -> bool:
    return (folder / "train.csv").is_file()


def _read_path_csv(folder: Path, reading: Reading) -> Table:
    """Read `train.csv` and `valid.csv` with labels, and any `*_test.csv` with labels or without."""
    index = ImageIndex(folder, reading.skipped)
    rows: list[Row] = []
    test_files = sorted(file for file in folder.glob("*test.csv") if re.fullmatch(r"([^.].*_)?test\.csv", file.name))
    named = [(folder / f"{name}.csv", split) for split in (TRAIN, VALID) for name in SPLIT_NAMES[split]]
    layout = ""
    findings = _Findings()
    for file, split in (*named, *((file, TEST) for file in test_files)):
        if file.is_file():
            more, columns = _read_labels(file, split, index, reading, findings)
            rows += more
            layout = layout or columns
    reading.note_images(index, [row[0] for row in rows])
    if findings.columns:
        rows = without_uncertain(rows, reading)
    tests = _merged([row for row in rows if row[3] == TEST])
    return make_table(folder, layout, [row for row in rows if row[3] != TEST] + tests, reading)


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


def _read_labels(
    file: Path, split: str, index: ImageIndex, reading: Reading, findings: _Findings
) -> tuple[list[Row], str]:
    """Read the rows of a labels table, and describe its columns; a column of splits goes before `split`.

    `findings` are those of earlier tables of the set; this table's are added.
    """
    table = read_label_file(file)
    if not table.header:
        raise DataError(f"{file} is empty; it needs Path and label in its first line")
    chosen = reading.columns.of_images_alone(table.header) if split == TEST else reading.columns
    labelled = read_labelled(
        table, chosen, index.has, split != TEST, always_findings=findings.columns, finding=findings.in_cells
    )
    if labelled.is_finding:
        findings.columns.add(labelled.label_column)
    findings.in_cells = findings.in_cells or labelled.finding
    usual = {"path", "label"} <= {name.lower() for name in table.header}
    del table  # millions of rows take as much memory as the result
    paths = find_all(index, labelled.names, file, reading.missing)
    splits = labelled.splits or [split] * len(paths)
    return (
        list(zip(paths, labelled.labels, labelled.groups, splits, strict=True)),
        f"{file.name} with Path and label" if usual else labelled.summary,
    )


LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Reading], Table]], ...] = (
    (_is_cnmc, _read_cnmc),
    (_is_column_files, _read_column_files),
    (_is_path_csv, _read_path_csv),
    (is_class_folders, read_class_folders),
)
"""How to recognise each layout, and its reader; the first that matches is used."""
