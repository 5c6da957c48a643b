"""Reader of class folders: a folder per class, below train, valid and test folders or without them."""

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.class_labels import lookalikes
from infer.dataset.folder_checks import require_class_folders, require_one_depth, table_remedy
from infer.dataset.folder_names import SPLIT_NAMES, split_of
from infer.dataset.masks import find_masks
from infer.dataset.rows import CLASS_NAMES, Reading, Row, make_table
from infer.dataset.table import TEST, TRAIN, Table
from infer.images.listing import list_images
from infer.images.skipped import LOOSE, MASK, OWN, UNREAD, folder_reason


def is_class_folders(folder: Path) -> bool:
    """Whether a folder holds folders that may be classes or splits."""
    return bool(_folders_in(folder))


def read_class_folders(folder: Path, reading: Reading) -> Table:
    """Read a folder per class; a test folder may be flat, and its images then have no label.

    Raises:
        DataError: the folders cannot be classes.
    """
    paths = list_images(folder, reading.skipped, tables=(CLASS_NAMES,))
    if not reading.keep_masks and (masks := find_masks(paths)):
        reading.skipped.add(MASK, masks[0], len(masks))
        paths = [path for path in paths if path not in set(masks)]
    by_folder: dict[str, list[str]] = defaultdict(list)  # by the first folder, the path below it; "": in none
    for path in paths:
        first, slash, rest = path.partition("/")
        by_folder[first if slash else ""].append(rest if slash else first)
    loose = by_folder.pop("", [])
    if loose:
        reading.skipped.add(LOOSE, loose[0], len(loose))
    splits = _split_folders(_folders_in(folder))
    rows = _read_splits(folder, splits, by_folder, reading) if splits else _read_classes(folder, by_folder, reading)
    if loose and not rows:
        raise DataError(f"the images in {folder} are in no class folder; {table_remedy(folder, loose)}")
    layout = "a folder per class in train, valid, test" if splits else "a folder per class, no splits"
    return make_table(folder, layout, rows, reading)


def _read_classes(folder: Path, by_folder: dict[str, list[str]], reading: Reading) -> list[Row]:
    """Read the rows of class folders without splits."""
    paths = [f"{name}/{path}" for name, below in by_folder.items() for path in below]
    require_class_folders(folder, "", paths)
    _note_empty(folder, "", by_folder, reading)
    return [(path, path.partition("/")[0], "", TRAIN) for path in paths]


def _read_splits(folder: Path, splits: dict[str, str], by_folder: dict[str, list[str]], reading: Reading) -> list[Row]:
    """Read the rows of class folders below the folders of splits, `splits`."""
    for name in [name for name in by_folder if name not in splits]:
        reading.skipped.add(UNREAD, name, len(by_folder[name]))
    classes: set[str] = set()
    for name in [name for name, split in splits.items() if split == TRAIN]:
        paths = by_folder.get(name, [])
        classes |= {path.partition("/")[0] for path in paths if "/" in path}
        if paths and not classes:
            raise DataError(f"{folder / name} holds images and no class folders; {table_remedy(folder, paths, name)}")
        require_class_folders(folder, f"{name}/", [path for path in paths if "/" in path])
    rows: list[Row] = []
    for name, split in splits.items():
        paths = by_folder.get(name, [])
        labels = [path.partition("/")[0] if "/" in path else None for path in paths]
        flat = split == TEST and TRAIN in splits.values() and not _shares_classes(classes, labels)
        if flat:
            _note_foreign(f"{name}/", labels, reading)
        else:
            require_one_depth(folder, f"{name}/", [path for path in paths if "/" in path])
            _note_empty(folder, f"{name}/", set(labels), reading)
        rows += [
            (f"{name}/{path}", None if flat else label, "", split) for path, label in zip(paths, labels, strict=True)
        ]
    return rows


def _shares_classes(classes: Collection[str], labels: Sequence[str | None]) -> bool:
    """Whether a split's folders are classes of training, were it in another spelling, which is refused later."""
    own = {label for label in labels if label is not None}
    return bool(own & set(classes)) or any(set(group) & set(classes) for group in lookalikes({*classes, *own}))


def _note_foreign(prefix: str, labels: Sequence[str | None], reading: Reading) -> None:
    """Note the folders of a test split that are no classes, so that its images have no label."""
    if foreign := sorted({f"{prefix}{label}" for label in labels if label is not None}):
        reading.notes.append(
            f"warning: {listed(foreign)} are no classes of training; the images in them are read without a label"
        )


def _split_folders(names: Sequence[str]) -> dict[str, str]:
    """Return the split of each folder that is one, in the order of the splits; {} where the folders are classes.

    Names that are not quite the usual ones, such as `TestB`, count where there is a folder for training.
    """
    usual = {name: split for split, words in SPLIT_NAMES.items() for name in names if name.lower() in words}
    if usual and TRAIN not in usual.values():
        return usual
    by_name = {name: split for split in SPLIT_NAMES for name in names if split_of(name) == split}
    return by_name if TRAIN in by_name.values() else usual


def _note_empty(folder: Path, prefix: str, read: Collection[str | None], reading: Reading) -> None:
    """Note the folders in which classes would be read, and which hold neither images nor tables."""
    own = {path.split("/")[prefix.count("/")] for path in reading.skipped.counts.get(OWN, ())}
    empty = [
        f"{prefix}{name}"
        for name in _folders_in(folder / prefix)
        if name not in read and name not in own and not any((folder / prefix / name).glob("*.csv"))
    ]
    if empty:
        reading.notes.append(f"warning: no images in {listed(empty)}")


def _folders_in(folder: Path) -> list[str]:
    """Return the names of the folders that are neither hidden nor made by other programs, in order."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and folder_reason(entry.name) is None)
