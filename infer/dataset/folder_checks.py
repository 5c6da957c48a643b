"""Refuse folders that look like classes and cannot be: parts of a set, masks, classes one level down, and others."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.folder_names import IMAGE_WORDS, masks_and_copies, numbered_parts, splits_by_name, words_of
from infer.dataset.naming_table import NamingTable, naming_table

SHARED = 0.8
"""Share of the upper folders in which a lower folder's name must occur to count as the same in all."""


def require_class_folders(folder: Path, prefix: str, paths: Sequence[str]) -> None:
    """Check that the first folder of each path can be its class.

    Args:
        folder: the data folder.
        prefix: `train/` where the paths are below it; "" where they are below the data folder.
        paths: relative to folder / prefix, with a folder each.

    Raises:
        DataError: it cannot; what was seen and what to do is said.
    """
    folders = list(dict.fromkeys(path.rpartition("/")[0] for path in paths))
    classes = list(dict.fromkeys(path.partition("/")[0] for path in folders))
    where = folder / prefix
    problem = (
        _nested(where, classes, folders) or _wrapped(where, classes, folders) or _holds_classes(where, classes, folders)
    )
    problem = problem or _misnamed(where, classes) or _uneven(where, folders)
    table = naming_table(folder, paths)
    if not problem and table and table.contradicts:
        problem = (
            f"{table.file} names the images of the folders in {where}, but no column of it agrees with the "
            "folders; move it elsewhere if they are the classes"
        )
    if problem:
        raise DataError(f"{problem}, or {_remedy(folder, table)}")


def require_one_depth(folder: Path, prefix: str, paths: Sequence[str]) -> None:
    """Check that the images of each class of a split lie at one depth; the arguments are `require_class_folders`'.

    Raises:
        DataError: they do not.
    """
    if problem := _uneven(folder / prefix, list(dict.fromkeys(path.rpartition("/")[0] for path in paths))):
        raise DataError(problem)


def table_remedy(folder: Path, paths: Sequence[str], inner: str = "") -> str:
    """Say how to label images by a table, and which table in the folder, or in `inner` below it, names them."""
    return _remedy(folder, naming_table(folder, paths) or naming_table(folder / inner, paths))


def _remedy(folder: Path, table: NamingTable | None) -> str:
    if table:
        return f"give the labels with --labels {table.file}, which names the images in its column {table.column}"
    return f"list the images in {folder / 'train.csv'} with the columns Path and label"


def _nested(where: Path, classes: Sequence[str], folders: Sequence[str]) -> str:
    """Describe classes that (nearly) all hold folders of the same names, which may be the classes; "" if not."""
    if len(classes) < 2 or set(classes) & set(folders):
        return ""
    parts = [path.split("/") for path in folders]
    for level in range(1, max(map(len, parts))):
        below = {(names[0], names[level]) for names in parts if len(names) > level}
        shared = Counter(name.lower() for _, name in below)
        names = sorted({name for _, name in below if shared[name.lower()] >= max(2, SHARED * len(classes))})
        if len({name.lower() for name in names}) > 1:
            holder = where.joinpath(*min(own[:level] for own in parts if own[0] == classes[0] and len(own) > level))
            return (
                f"{listed(classes)} in {where} hold folders of the same names, {listed(names)}; if these are the "
                f"classes, give {holder} as the data set"
            )
        if len(shared) > 1 or min(map(len, parts)) <= level:  # below one folder of a name in all, they are looked for
            break
    return ""


def _wrapped(where: Path, classes: Sequence[str], folders: Sequence[str]) -> str:
    """Describe a single folder that holds several; "" if there are more, or images in it."""
    below = sorted({path.split("/")[1] for path in folders if "/" in path})
    if len(classes) != 1 or classes[0] in folders or len(below) < 2:
        return ""
    return (
        f"{where} holds one folder, {classes[0]}, and that {listed(below)}; give {where / classes[0]} as the data set"
    )


def _holds_classes(where: Path, classes: Sequence[str], folders: Sequence[str]) -> str:
    """Describe a folder that holds the classes, or a copy of those beside it; "" if there is none.

    Its name is `images`, `photos` or the like, or several folders in it have the names of those beside it.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for path in folders:
        name, _, rest = path.partition("/")
        if rest:
            below[name].add(rest.partition("/")[0])
    for name, held in below.items():
        of_images = bool(words_of(name)) and set(words_of(name)) <= IMAGE_WORDS
        if len(held if of_images else held & set(classes)) > 1:
            return (
                f"{where / name} holds {listed(sorted(held))}; if these are the classes, give {where / name} as the "
                "data set, or move it elsewhere"
            )
    return ""


def _misnamed(where: Path, classes: Sequence[str]) -> str:
    """Describe classes whose names are not those of classes; "" if there are none."""
    for names, kind in (
        (numbered_parts(classes), "parts of one set"),
        (splits_by_name(classes), "splits of one set"),
        (masks_and_copies(classes), "originals, masks or copies of one set"),
    ):
        if names:
            return f"{listed(names)} in {where} look like {kind}, not classes; rename them if they are classes"
    return ""


def _uneven(where: Path, folders: Sequence[str]) -> str:
    """Describe a class with images at two depths; "" if there is none."""
    depths: dict[str, dict[int, str]] = defaultdict(dict)
    for path in folders:
        depths[path.partition("/")[0]].setdefault(path.count("/"), path)
    for name, examples in depths.items():
        if len(examples) > 1:
            return (
                f"{where / name} holds images at two depths, in {listed(sorted(examples.values()))}; move them to one "
                "depth, or elsewhere"
            )
    return ""
