"""A data set whose images are inside files as a table, by the labels that the files hold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.core.parse import parse_json
from infer.dataset.columns import ColumnNames
from infer.dataset.label_file import LabelFile, read_label_file
from infer.dataset.labelled import LabelledNames, read_labelled
from infer.dataset.packed import GROUP, LABEL, SPLIT, Packed
from infer.dataset.rows import Reading, make_table
from infer.dataset.table import TRAIN, Table
from infer.dataset.unpack import FILE_NAME, MARKER, METADATA, unpack
from infer.model.card import ClassName


def read_packed(packed: Packed, columns: ColumnNames, screen: Screen) -> Table:
    """Read a data set whose images are inside files; they are unpacked into lab's cache, unless they were before.

    Args:
        packed: what `find_packed` found.
        columns: the columns that the user named.
        screen: one line says where the images are and how much room they take.

    Raises:
        DataError: the files are damaged or hostile, or hold volumes or several labels an image.
        MissingExtraError: a library that reads them is not installed.
        OutputError: the cache cannot be written.
    """
    if columns.image:
        raise DataError(f"--image-column is for a table beside images, and {packed.path} holds its own; leave it out")
    folder = unpack(packed, screen)
    class_names = parse_json((folder / MARKER).read_text(encoding="utf-8"))["class_names"]
    metadata = replace(read_label_file(folder / METADATA), path=packed.path)
    chosen = _chosen(metadata, columns, class_names)
    labelled = read_labelled(metadata, chosen, lambda _: True, never_findings=class_names)
    splits = labelled.splits or [TRAIN] * len(labelled.names)
    rows = list(zip(labelled.names, labelled.labels, labelled.groups, splits, strict=True))
    classes = _classes(labelled, class_names.get(labelled.label_column, ()), packed.path)
    own = set(metadata.header) <= {FILE_NAME, LABEL, GROUP, SPLIT}
    read = "" if own else f", {labelled.summary.partition(f'images {FILE_NAME}, ')[2]}"
    table = make_table(folder, f"{packed.kind.title}{read}", rows, Reading(), classes)
    return replace(table, name=packed.name, unpacked_from=packed.path)


def _chosen(metadata: LabelFile, columns: ColumnNames, class_names: Mapping[str, Sequence[str]]) -> ColumnNames:
    """The columns that the user named, and those that leave no choice."""
    others = [name for name in metadata.header if name not in (FILE_NAME, SPLIT)]
    only = others[0] if len(others) == 1 and others[0] in class_names else ""
    return ColumnNames(
        image=FILE_NAME,
        label=columns.label or only,
        group=columns.group,
        split=columns.split or (SPLIT if SPLIT in metadata.header else ""),
    )


def _classes(labelled: LabelledNames, names: Sequence[str], path: Path) -> tuple[ClassName, ...]:
    """The classes that occur, with their names, in the order of their numbers; () where the files name none.

    Raises DataError for a label without a name.
    """
    labels = {label for label in labelled.labels if label is not None}
    if not names or len(set(names)) < len(names):
        return ()
    if strange := sorted(label for label in labels if not label.isdecimal() or int(label) >= len(names)):
        raise DataError(
            f"{path}: {labelled.label_column} has the label {strange[0]}, and names {len(names)} classes, from 0 on; "
            "download it again, or name another --label-column"
        )
    return tuple(ClassName(names[number], str(number)) for number in sorted(map(int, labels)))
