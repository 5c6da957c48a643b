"""How many images of each class groups have, without the classes that a group lacks: most have one of a thousand."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = 65_536
"""Groups whose parts are Python objects at once."""
CELLS = 4_000_000
"""Cells of a table of groups and classes that is in memory at once."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Part = tuple[int, int]
"""A class and how many images of it a group has."""


class GroupCounts:
    """The images of each group by class.

    Attributes:
        per_class: [classes] the images of each class.
        images: [groups] the images of each group.
    """

    def __init__(self, labels: Ints, group_of_row: Ints, classes: int) -> None:
        """Count.

        Args:
            labels: [n] class indices below `classes`.
            group_of_row: [n] the group of each image, counted from 0 without gaps.
            classes: their number.
        """
        cells, self._counts = np.unique(group_of_row * classes + labels, return_counts=True)
        self._groups, self._classes = np.divmod(cells, classes)
        self.per_class: Ints = np.bincount(labels, minlength=classes)
        self.images: Ints = np.bincount(group_of_row)
        self._starts = np.searchsorted(self._groups, np.arange(len(self.images) + 1))

    def groups_with(self, label: int) -> Ints:
        """Return the groups that have images of a class."""
        groups: Ints = self._groups[self._classes == label]
        return groups

    def unevenness(self) -> Floats:
        """Return the standard deviation of each group's images over all classes, [groups]."""
        uneven = np.empty(len(self.images))
        block = max(1, CELLS // len(self.per_class))
        for first in range(0, len(uneven), block):
            last = min(first + block, len(uneven))
            cells = slice(self._starts[first], self._starts[last])
            table = np.zeros((last - first, len(self.per_class)))
            table[self._groups[cells] - first, self._classes[cells]] = self._counts[cells]
            uneven[first:last] = table.std(axis=1)
        return uneven

    def parts(self, order: Ints) -> Iterator[list[Part]]:
        """Yield the classes of each group in `order`, ascending, with their images."""
        for first in range(0, len(order), BLOCK):
            starts, ends = self._starts[order[first : first + BLOCK]], self._starts[order[first : first + BLOCK] + 1]
            lengths = ends - starts
            indices = np.arange(lengths.sum()) + np.repeat(ends - np.cumsum(lengths), lengths)
            parts = list(zip(self._classes[indices].tolist(), self._counts[indices].tolist(), strict=True))
            for length, end in zip(lengths.tolist(), np.cumsum(lengths).tolist(), strict=True):
                yield parts[end - length : end]
