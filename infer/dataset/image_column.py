"""Which column of a labels table names the images, where the user does not say: by its words, and by what it holds."""

import re
from collections.abc import Callable, Sequence

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.delimited import counts_up
from infer.dataset.known_headers import IMAGE_NAMES, KnownHeader, names_images
from infer.dataset.label_file import LabelFile
from infer.images.listing import is_image as has_image_suffix

CHECKED = 200
"""Rows whose image is looked for to tell two columns apart."""


def find_image_column(
    table: LabelFile, names: Sequence[str], known: KnownHeader | None, is_image: Callable[[str], bool]
) -> int:
    """Find the column that names the images.

    Args:
        table: a header and rows.
        names: its header in lower case.
        known: the public data set that has this header, if any.
        is_image: whether an image of this name lies there; tells a row number from a file name.

    Raises:
        DataError: no column fits, several do, or another than the one that fits names the images that lie there.
    """
    fitting = [position for position, name in enumerate(names) if name in IMAGE_NAMES]
    if known and names.index(known.image) not in fitting:
        fitting.insert(0, names.index(known.image))
    if not fitting:  # known headers without their labels, as in test.csv
        fitting = [position for position, name in enumerate(names) if names_images([name])]
    if not fitting:
        raise _no_column(table, is_image)
    if len(fitting) > 1:
        hits = {position: _hits(table, position, is_image) for position in fitting}
        best = max(hits.values())
        fitting = [position for position in fitting if hits[position] == best]
        if known and known.image not in IMAGE_NAMES and names.index(known.image) in fitting:
            return names.index(known.image)
        named = [position for position in fitting if not _counts_rows(table, position)]
        fitting = named if len(named) == 1 else fitting
    if len(fitting) > 1:
        both = listed([table.header[position] for position in fitting])
        raise DataError(f"{table.path}: {both} could all name the images; choose one with --image-column")
    _require_images(table, fitting[0], is_image)
    return fitting[0]


def _require_images(table: LabelFile, column: int, is_image: Callable[[str], bool]) -> None:
    """Raise DataError where a column names none of the images that lie there, and another column names some."""
    if not table.rows or _hits(table, column, is_image):
        return
    others = [position for position in range(len(table.header)) if position != column]
    naming = [table.header[position] for position in others if _hits(table, position, is_image)]
    if naming:
        raise DataError(
            f"{table.path}: {table.header[column]} names no image that is there, such as {table.rows[0][column]}, and "
            f"{listed(naming)} does; choose with --image-column {naming[0]!r}"
        )


def _hits(table: LabelFile, column: int, is_image: Callable[[str], bool]) -> int:
    """Count the first rows of which an image lies there."""
    return sum(is_image(row[column]) for row in table.rows[:CHECKED] if row[column])


def _no_column(table: LabelFile, is_image: Callable[[str], bool]) -> DataError:
    if _is_row(table.header, is_image):
        return DataError(
            f"{table.path} has no header, its first line is {listed(table.header)}; write the names of the columns, "
            "such as Path and label, above it"
        )
    remedy = "name it with --image-column"
    if len(table.header) == 1 and re.search(r"[ |:]", table.header[0]):
        remedy = "separate columns by comma, semicolon or tab, or name it with --image-column"
    return DataError(f"{table.path} has the columns {listed(table.header, 20)}; none is known to name images: {remedy}")


def _is_row(header: list[str], is_image: Callable[[str], bool]) -> bool:
    """Whether the first line names an image, alone or before a space, and so is no header."""
    if any(has_image_suffix(word) for cell in header for word in (cell, cell.split(" ")[0])):
        return True
    return sum(map(is_image, filter(None, header))) == 1


def _counts_rows(table: LabelFile, position: int) -> bool:
    """Whether a column only numbers the rows, from 0 or 1 on."""
    return counts_up(table.column(position))
