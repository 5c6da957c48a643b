"""scikit-learn's StratifiedGroupKFold, the same folds in a small part of its time and memory."""

import math
from collections.abc import Sequence

import numpy as np

from infer.dataset.group_counts import Floats, GroupCounts, Ints, Part

RTOL, ATOL = 1e-5, 1e-8
"""Within these of each other two scores are equal, as for `numpy.isclose`."""
IN_ORDER = 8
"""Fewer numbers than these NumPy adds one after another."""


def number_groups(names: Sequence[str], rows: Ints) -> Ints:
    """Number the groups of images, [n], in the order of their names as text.

    An image without a group ("") is one of its own, before all others. Its row's decimal digits are its name, as they
    were when scikit-learn sorted the names: 0, 1, 10, 11, 2.

    Args:
        names: the group of each image.
        rows: the row of each image in the data set's table, [n].
    """
    named = {name: number for number, name in enumerate(sorted(set(names) - {""}))}
    group_of_row = np.fromiter((named.get(name, -1) for name in names), dtype=np.int64, count=len(names))
    alone = np.flatnonzero(group_of_row < 0)
    group_of_row[group_of_row >= 0] += len(alone)
    group_of_row[alone[_order_of_texts(rows[alone])]] = np.arange(len(alone))
    return group_of_row


def first_group_fold(labels: Ints, group_of_row: Ints, folds: int, seed: int) -> Ints:
    """Return the positions of the first fold, stratified by label, in which groups stay whole.

    It is that of `StratifiedGroupKFold(folds, shuffle=True, random_state=seed)` in scikit-learn 1.9: every number comes
    from the same operations in the same order, so that a data set keeps its split. Groups are assigned one after
    another, those of uneven classes first, each to the fold with which the folds then differ least. scikit-learn looks
    at all classes in all folds five times for each group, in 0.3 ms; here only what changes is looked at.

    Args:
        labels: [n] class indices; not all classes need to occur.
        group_of_row: the group of each image, [n], counted from 0 without gaps.
        folds: their number, 2 or more.
        seed: the seed of the order among groups whose classes are equally uneven.
    """
    present, classes = np.unique(labels, return_inverse=True)
    counts = GroupCounts(classes, group_of_row, len(present))
    order = np.arange(len(counts.images))
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-counts.unevenness()[order], kind="stable")]
    held_out = np.zeros(len(order), dtype=bool)
    filled = _Folds(folds, counts.per_class.tolist())
    for group, parts in zip(order.tolist(), counts.parts(order), strict=True):
        held_out[group] = filled.add(parts) == 0
    return np.flatnonzero(held_out[group_of_row])


class _Folds:
    """The images that the folds have so far."""

    def __init__(self, folds: int, per_class: list[int]) -> None:
        self.per_class = per_class
        self.images = [0] * folds
        self.counts = [[0] * folds for _ in per_class]
        """The images of each class in each fold."""
        self.shares = [[0.0] * folds for _ in per_class]
        """The share of a class's images that each fold has."""
        self.spreads = _Mean([0.0] * len(per_class))
        """The standard deviation of each class's shares."""

    def add(self, parts: Sequence[Part]) -> int:
        """Add a group to the fold that it suits best; returns this fold."""
        best, least = 0, self._score(0, parts)
        for fold in range(1, len(self.images)):
            score = self._score(fold, parts)
            is_close = abs(score - least) <= ATOL + RTOL * least
            if score < least or (is_close and self.images[fold] < self.images[best]):
                best, least = fold, score
        for label, count in parts:
            self.images[best] += count
            self.counts[label][best] += count
            self.shares[label][best] = self.counts[label][best] / self.per_class[label]
            self.spreads.values[label] = _deviation(self.shares[label])
        return best

    def _score(self, fold: int, parts: Sequence[Part]) -> float:
        """Return the mean of the classes' spreads with a group in this fold."""
        spreads = self.spreads.values
        kept = [spreads[label] for label, _ in parts]
        for label, count in parts:
            shares = self.shares[label]
            share = shares[fold]
            shares[fold] = (self.counts[label][fold] + count) / self.per_class[label]
            spreads[label] = _deviation(shares)
            shares[fold] = share
        score = self.spreads.mean()
        for (label, _), spread in zip(parts, kept, strict=True):
            spreads[label] = spread
        return score


class _Mean:
    """Numbers that change, and their mean as `numpy.mean` has it."""

    def __init__(self, values: list[float]) -> None:
        self.values: list[float] | Floats = values if len(values) < IN_ORDER else np.array(values)

    def mean(self) -> float:
        """Return the mean; NumPy is asked only where it does not add one number after another."""
        if isinstance(self.values, list):
            return _in_order(self.values) / len(self.values)
        return float(np.add.reduce(self.values)) / len(self.values)


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation as `numpy.std` computes it."""
    mean = _in_order(values) / len(values)
    squares = 0.0
    for value in values:
        squares += (value - mean) * (value - mean)
    return math.sqrt(squares / len(values))


def _in_order(values: Sequence[float]) -> float:
    """Return the sum, one number added after another; `sum` compensates for rounding from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


def _order_of_texts(numbers: Ints) -> Ints:
    """Return the indices that sort whole numbers as their decimal digits would be sorted as text."""
    digits = np.ones(len(numbers), dtype=np.int64)
    for power in range(1, 19):
        digits += numbers >= 10**power
    widest = digits.max(initial=1)
    return np.lexsort((digits, numbers * 10 ** (widest - digits)))
