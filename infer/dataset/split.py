"""`lab data split`: split a data set, stratified and by patient, and write train.csv, valid.csv and test.csv."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from infer.core.console import Screen
from infer.core.csv_files import csv_text
from infer.core.errors import DataError, OutputError
from infer.core.exclusive import exclusive
from infer.core.file_sets import file_set, finish_interrupted
from infer.core.formulas import tell_formulas
from infer.core.output_paths import require_inputs_kept
from infer.core.text import listed
from infer.dataset.config import DataSplitConfig
from infer.dataset.copies import find_copies
from infer.dataset.exclude import read_without_excluded
from infer.dataset.folder_names import SPLIT_NAMES
from infer.dataset.layouts import hides_path_csv
from infer.dataset.rows import SPLIT_FILES
from infer.dataset.stratify import stratified_splits
from infer.dataset.summary import show_table
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table
from infer.images.listing import natural_key

NOTABLE = 0.02
"""Difference between the requested and the actual share of a split above which it is reported."""


def split_data(config: DataSplitConfig, screen: Screen) -> Table:
    """Read a data set, split it, write its files, and return the table.

    Raises:
        DataError: the data set cannot be read, or is too small to split.
        OutputError: there is a split already and --force was not given, or the folder cannot be written.
    """
    with exclusive(config.out):
        return _split_alone(config, screen)


def _split_alone(config: DataSplitConfig, screen: Screen) -> Table:
    """Split while no other process writes into the folder. Raises DataError, OutputError."""
    if config.out.is_dir():
        finish_interrupted(config.out / SPLIT_FILES[0], SPLIT_FILES)
    files = _output_files(config)
    table = read_without_excluded(config.source, config, None, config.exclude, screen)
    screen.say(f"read: {table.source} ({table.layout})")
    table = split_table(table, config, screen)
    paths = _paths_from(config.out, table)
    _require_plain_text(paths, table)
    tell_formulas(screen, (*paths, *table.names, *(item.name for item in table.classes)), config.raw_csv)
    _write_together(dict(zip(files, _texts(paths, table, config.raw_csv), strict=True)))
    show_table(replace(table, root=config.out, unpacked_from=None), screen)
    return table


def split_table(table: Table, config: DataSplitConfig, screen: Screen) -> Table:
    """Return the labelled images with new splits; the data set's own are discarded, or its test split is kept.

    Raises:
        DataError: the pattern does not match a path, an image has two patients, there is no test split to keep, or a
            split would be empty.
    """
    if config.group_pattern:
        table = replace(table, groups=("",) * len(table))  # replaced below by the pattern's patients
    table = _merge_rows(table)
    known = table.take(np.flatnonzero(table.labels != UNKNOWN))
    if len(known) < len(table):
        screen.say(f"left out: {len(table) - len(known)} images without a label")
    if not len(known):
        raise DataError(f"{table.source} has no labelled images to split; label them")
    if config.group_pattern:
        known = replace(known, groups=_patients(known.paths, config.group_pattern))
    copies = find_copies(known)
    groups = copies.groups()
    if config.keep_test:
        kept = _rows_beside_test(known, groups, screen)
        known, groups = known.take(kept), tuple(groups[row] for row in kept)
    free = np.array([row for row, split in enumerate(known.splits) if split != TEST or not config.keep_test])
    shares = {TRAIN: 1 - config.valid - config.test_share, VALID: config.valid, TEST: config.test_share}
    shares = {name: share for name, share in shares.items() if share}
    assigned = stratified_splits(replace(known, groups=groups).take(free), shares, config.seed)
    splits = [TEST] * len(known)
    for row, split in zip(free, assigned, strict=True):
        splits[row] = split
    if empty := [name for name in shares if name not in assigned]:
        count = len(set(known.groups)) if any(known.groups) else len(known)
        raise DataError(f"{count} patients or images are too few to split: nothing is left for {listed(empty)}")
    _report_shares(shares, assigned, screen)
    method = "by patient" if any(known.groups) else "by image, as no patient is known"
    layout = f"stratified, {method}, seed {config.seed}"
    return replace(known, splits=tuple(splits), layout=layout, notes=(*known.notes, *copies.notes()))


def _merge_rows(table: Table) -> Table:
    """Merge the rows of each path: its label, its patient, and test as its split, where any of its rows gives it.

    Raises DataError for a path with two patients; two labels were refused before.
    """
    first: dict[str, int] = {}
    labels: dict[str, int] = {}
    groups: dict[str, str] = {}
    contradictory: set[str] = set()
    for row, (path, label, group) in enumerate(zip(table.paths, table.labels, table.groups, strict=True)):
        first.setdefault(path, row)
        labels[path] = max(labels.get(path, UNKNOWN), int(label))
        if group and groups.setdefault(path, group) != group:
            contradictory.add(path)
    if contradictory:
        names = listed(sorted(contradictory, key=natural_key))
        raise DataError(f"{len(contradictory)} images are listed with two patients: {names}; keep the right one")
    test = {table.paths[row] for row in table.rows(TEST)}
    return replace(
        table.take(list(first.values())),
        labels=np.array([labels[path] for path in first], dtype=np.int64),
        groups=tuple(groups.get(path, "") for path in first),
        splits=tuple(TEST if path in test else table.splits[row] for path, row in first.items()),
    )


def _report_shares(shares: Mapping[str, float], assigned: Sequence[str], screen: Screen) -> None:
    """Warn where the actual shares differ from the requested ones, as they do with few or uneven patients."""
    actual = {name: assigned.count(name) / len(assigned) for name in shares}
    if max(round(abs(actual[name] - share), 9) for name, share in shares.items()) > NOTABLE:
        texts = [f"{name} {actual[name]:.1%} (requested: {share:.1%})" for name, share in shares.items()]
        screen.say(f"warning: the splits do not have the requested shares of the images: {listed(texts)}")


def _rows_beside_test(table: Table, groups: Sequence[str], screen: Screen) -> list[int]:
    """Return the rows without copies of test images and other images of their patients, who share their `groups`.

    Raises DataError where there is no test split.
    """
    tested = {groups[row] for row in table.rows(TEST)} - {""}
    kept = [row for row, split in enumerate(table.splits) if split == TEST or groups[row] not in tested]
    if TEST not in table.splits or len(table.rows(TEST)) == len(kept):
        raise DataError(f"{table.source} has no labelled test split to keep, or no other images; leave --keep-test out")
    if len(kept) < len(table):
        screen.say(
            f"left out: {len(table) - len(kept)} images of patients who are in the test split, or copies of its images"
        )
    return kept


def _patients(paths: Sequence[str], pattern: str) -> tuple[str, ...]:
    matches = [re.search(pattern, path) for path in paths]
    names = [(match[1] or "") if match else "" for match in matches]
    if unmatched := [path for path, name in zip(paths, names, strict=True) if not name]:
        raise DataError(
            f"--group-pattern {pattern} finds no patient in {len(unmatched)} paths: {listed(unmatched)}; change it"
        )
    return tuple(names)


def _output_files(config: DataSplitConfig) -> list[Path]:
    """Return the files of TRAIN, VALID, TEST and the class names. Raises LabError where they must not be written."""
    ours = [config.out / name for name in SPLIT_FILES]
    others = [config.out / f"{name}.csv" for split in (TRAIN, VALID) for name in SPLIT_NAMES[split]]
    others += config.out.glob("*test.csv")
    if hides_path_csv(config.out):
        raise OutputError(f"{config.out} holds a data set of another layout, which lab would read; give another --out")
    require_inputs_kept((config.source, config.labels, config.exclude), ours)
    if blocked := [path.name for path in ours if path.exists() and not path.is_file()]:
        raise OutputError(f"{config.out} holds {listed(blocked)}, but not as a file; give another --out")
    if foreign := [path.name for path in others if path not in ours and path.exists()]:
        raise OutputError(f"{config.out} holds {listed(foreign)}, which lab would read too; give another --out")
    if not config.force and (existing := [path.name for path in ours if path.exists()]):
        raise OutputError(f"{config.out} holds {listed(existing)} already; give --force to replace, or another --out")
    return ours


def _require_plain_text(paths: Sequence[str], table: Table) -> None:
    """Check that a CSV reader returns all texts unchanged. Raises DataError."""
    texts = [*paths, *table.groups, *(item.label for item in table.classes)]
    if padded := [text for text in texts if text != text.strip()]:
        raise DataError(f"names begin or end with a space, which tables lose: {listed(padded)}; rename them")


def _paths_from(out: Path, table: Table) -> list[str]:
    """Return the image paths for a table in `out`: relative where they are below it and can be listed, or absolute."""
    base, root = os.path.abspath(out), os.path.abspath(table.root)
    absolute = [os.path.normpath(os.path.join(root, path)) for path in table.paths]
    relative = [
        path[len(base) + 1 :].replace(os.sep, "/") if path.startswith(base + os.sep) else None for path in absolute
    ]
    return [path if path and _is_plain(path) else full for path, full in zip(relative, absolute, strict=True)]


def _is_plain(path: str) -> bool:
    """Whether no part of a relative path is hidden, and so not listed, or has outer spaces, which tables lose."""
    return all(part == part.strip() and not part.startswith(".") for part in path.split("/"))


def _texts(paths: Sequence[str], table: Table, raw: bool) -> list[str | None]:
    """Return the contents of the files of TRAIN, VALID, TEST and the class names; None for a file without content."""
    labels = [table.classes[label].label for label in table.labels]
    columns = [paths, labels, *([table.groups] if any(table.groups) else [])]
    rows = list(zip(*columns, strict=True))
    header = ("Path", "label", "patient")[: len(columns)]
    by_split = [[row for row, split in zip(rows, table.splits, strict=True) if split == name] for name in SPLIT_NAMES]
    texts = [csv_text([header, *split_rows], raw) if split_rows else None for split_rows in by_split]
    names = [(item.label, item.name) for item in table.classes if item.name != item.label]
    return [*texts, csv_text([("label", "name"), *names], raw) if names else None]


def _write_together(texts: Mapping[Path, str | None]) -> None:
    """Write the files, and delete those without text: all of them, or none. Raises OutputError."""
    with file_set(next(iter(texts))) as files:
        for path, text in texts.items():
            if text is None:
                files.remove(path)
            else:
                files.write_text(path, text)
