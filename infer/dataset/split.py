"""`lab data split`: a stratified split that keeps patients together, in the reports' CSV layout."""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from infer.core.console import Screen
from infer.core.csv_files import csv_text
from infer.core.errors import DataError, OutputError
from infer.core.files import atomic_write, cannot_write
from infer.core.text import listed
from infer.dataset.config import DataSplitConfig
from infer.dataset.exclude import read_without
from infer.dataset.layouts import SPLIT_NAMES, hides_path_csv
from infer.dataset.stratify import parted
from infer.dataset.summary import show_table
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table
from infer.images.listing import natural_key

NAMES = "classes.csv"
NOTABLE = 0.02
"""How far a split's share may be from that which was asked for before it is said."""


def split_data(config: DataSplitConfig, screen: Screen) -> Table:
    """Read, part and write a data set; the table as it was parted.

    Raises:
        DataError: the data set cannot be read, or is too small to part.
        OutputError: a split lies there and --force was not given, or the folder cannot be written.
    """
    files = _require_room(config)
    table = read_without(config.source, None, config.exclude, screen)
    table = split_table(table, config, screen)
    paths = _paths_from(config.out, table)
    _require_plain_text(paths, table)
    _write_together(dict(zip(files, _texts(paths, table), strict=True)))
    show_table(replace(table, root=config.out), screen)
    return table


def split_table(table: Table, config: DataSplitConfig, screen: Screen) -> Table:
    """The labelled images, each in train, valid or test; the data set's own splits are given up, or its test kept.

    Raises:
        DataError: a pattern finds no patient, an image has two, there is no test split to keep, or a split would be
            empty.
    """
    if config.group_pattern:
        table = replace(table, groups=("",) * len(table))  # the pattern's patients take their place below
    table = _once(table)
    known = table.take(np.flatnonzero(table.labels != UNKNOWN))
    if len(known) < len(table):
        screen.say(f"left out: {len(table) - len(known)} images without a label")
    if not len(known):
        raise DataError(f"{table.root} has no labelled images to part; label them")
    if config.group_pattern:
        known = replace(known, groups=_patients(known.paths, config.group_pattern))
    if config.keep_test:
        known = _without_test_patients(known, screen)
    free = np.array([row for row, split in enumerate(known.splits) if split != TEST or not config.keep_test])
    shares = {TRAIN: 1 - config.valid - config.test_share, VALID: config.valid, TEST: config.test_share}
    shares = {name: share for name, share in shares.items() if share}
    chosen = parted(known.take(free), shares, config.seed)
    splits = [TEST] * len(known)
    for row, split in zip(free, chosen, strict=True):
        splits[row] = split
    if lost := [name for name in shares if name not in chosen]:
        few = len(set(known.groups)) if any(known.groups) else len(known)
        raise DataError(f"{few} patients or images are too few to part: nothing is left for {listed(lost)}")
    _say_reached(shares, chosen, screen)
    how = "by patient" if any(known.groups) else "by image, as no patient is known"
    return replace(known, splits=tuple(splits), layout=f"stratified, {how}, seed {config.seed}")


def _once(table: Table) -> Table:
    """One row of each path, with the label and the patient that any of its rows gives; of test, where any is.

    Raises DataError for a path with two patients; two labels were refused before.
    """
    first: dict[str, int] = {}
    labels: dict[str, int] = {}
    groups: dict[str, str] = {}
    torn: set[str] = set()
    for row, (path, label, group) in enumerate(zip(table.paths, table.labels, table.groups, strict=True)):
        first.setdefault(path, row)
        labels[path] = max(labels.get(path, UNKNOWN), int(label))
        if group and groups.setdefault(path, group) != group:
            torn.add(path)
    if torn:
        names = listed(sorted(torn, key=natural_key))
        raise DataError(f"{len(torn)} images are listed with two patients: {names}; keep the right one")
    test = {table.paths[row] for row in table.rows(TEST)}
    return replace(
        table.take(list(first.values())),
        labels=np.array([labels[path] for path in first], dtype=np.int64),
        groups=tuple(groups.get(path, "") for path in first),
        splits=tuple(TEST if path in test else table.splits[row] for path, row in first.items()),
    )


def _say_reached(shares: Mapping[str, float], chosen: Sequence[str], screen: Screen) -> None:
    """Say which shares came out otherwise than asked, as those of few or uneven patients do."""
    reached = {name: chosen.count(name) / len(chosen) for name in shares}
    if max(round(abs(reached[name] - share), 9) for name, share in shares.items()) > NOTABLE:
        told = [f"{name} {reached[name]:.1%} (asked: {share:.1%})" for name, share in shares.items()]
        screen.say(f"warning: the splits' shares of the images are not those that were asked for: {listed(told)}")


def _without_test_patients(table: Table, screen: Screen) -> Table:
    """The table without other images of patients in its test split. Raises DataError where there is no test split."""
    patients = {table.groups[row] for row in table.rows(TEST)} - {""}
    kept = [row for row, split in enumerate(table.splits) if split == TEST or table.groups[row] not in patients]
    if TEST not in table.splits or len(table.rows(TEST)) == len(kept):
        raise DataError(f"{table.root} has no labelled test split to keep beside other images; leave --keep-test out")
    if len(kept) < len(table):
        screen.say(f"left out: {len(table) - len(kept)} images of patients who are in the test split")
    return table.take(kept)


def _patients(paths: Sequence[str], pattern: str) -> tuple[str, ...]:
    found = [re.search(pattern, path) for path in paths]
    names = [(match[1] or "") if match else "" for match in found]
    if lost := [path for path, name in zip(paths, names, strict=True) if not name]:
        raise DataError(f"--group-pattern {pattern} finds no patient in {len(lost)} paths: {listed(lost)}; change it")
    return tuple(names)


def _require_room(config: DataSplitConfig) -> list[Path]:
    """The files that will be written: of TRAIN, VALID and TEST, and the classes' names. Raises OutputError."""
    ours = [config.out / name for name in (*(f"{split}.csv" for split in (TRAIN, VALID, TEST)), NAMES)]
    others = [config.out / f"{name}.csv" for split in (TRAIN, VALID) for name in SPLIT_NAMES[split]]
    others += config.out.glob("*test.csv")
    if hides_path_csv(config.out):
        raise OutputError(f"{config.out} holds a data set of another layout, which lab would read; give another --out")
    if config.source.resolve() in [path.resolve() for path in ours]:
        raise OutputError(f"{config.source} is read and would be overwritten; give another --out")
    if blocked := [path.name for path in ours if path.exists() and not path.is_file()]:
        raise OutputError(f"{config.out} holds {listed(blocked)}, but not as a file; give another --out")
    if strange := [path.name for path in others if path not in ours and path.exists()]:
        raise OutputError(f"{config.out} holds {listed(strange)}, which lab would read too; give another --out")
    if not config.force and (there := [path.name for path in ours if path.exists()]):
        raise OutputError(f"{config.out} holds {listed(there)} already; give --force to replace, or another --out")
    return ours


def _require_plain_text(paths: Sequence[str], table: Table) -> None:
    """Raises DataError for text that a CSV's reader would not give back."""
    texts = [*paths, *table.groups, *(item.label for item in table.classes)]
    if strange := [text for text in texts if text != text.strip()]:
        raise DataError(f"names begin or end with a space, which tables lose: {listed(strange)}; rename them")


def _paths_from(out: Path, table: Table) -> list[str]:
    """The images' paths as a table in `out` gives them: relative below it, where a reader would find them so."""
    base, root = os.path.abspath(out), os.path.abspath(table.root)
    full = [os.path.normpath(os.path.join(root, path)) for path in table.paths]
    below = [path[len(base) + 1 :].replace(os.sep, "/") if path.startswith(base + os.sep) else None for path in full]
    return [path if path and _is_plain(path) else whole for path, whole in zip(below, full, strict=True)]


def _is_plain(path: str) -> bool:
    """Whether no part of a relative path is hidden, and so not listed, or has outer spaces, which tables lose."""
    return all(part == part.strip() and not part.startswith(".") for part in path.split("/"))


def _texts(paths: Sequence[str], table: Table) -> list[str | None]:
    """The content of the files of TRAIN, VALID, TEST and the classes' names; None: there is none to be."""
    labels = [table.classes[label].label for label in table.labels]
    columns = [paths, labels, *([table.groups] if any(table.groups) else [])]
    rows = list(zip(*columns, strict=True))
    header = ("Path", "label", "patient")[: len(columns)]
    held = [
        [row for row, own in zip(rows, table.splits, strict=True) if own == split] for split in (TRAIN, VALID, TEST)
    ]
    texts = [csv_text([header, *some]) if some else None for some in held]
    named = [(item.label, item.name) for item in table.classes if item.name != item.label]
    return [*texts, csv_text([("label", "name"), *named]) if named else None]


def _write_together(texts: Mapping[Path, str | None]) -> None:
    """Write the files, and delete those that have no text; nothing is touched before all of them are on the disk.

    Raises OutputError.
    """
    with contextlib.ExitStack() as drafts:
        for path, text in texts.items():
            if text is not None:
                with drafts.enter_context(atomic_write(path)).open("wb") as draft:
                    draft.write(text.encode("utf-8", "surrogateescape"))
                    draft.flush()
                    os.fsync(draft.fileno())
        for path in [path for path, text in texts.items() if text is None]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error
