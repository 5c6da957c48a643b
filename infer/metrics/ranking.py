"""ROC AUC and average precision of classes under many resamples of the images at once.

A resample is given by weights: how often it draws each image. These are whole numbers, so that their sums are exact in
any order and with any number of threads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.losses import Indices, Numbers

Counts = NDArray[np.float32] | NDArray[np.float64]

EXACT = 2**24
"""Whole numbers below this, and their sums, are exact in float32, whose matrix products take half the time."""
BLOCK = 2**22
"""Elements of the largest comparison matrix: 16 MiB in float32."""


@dataclass(frozen=True)
class Ranking:
    """The images ranked by one class's probability, largest first, for a class with many images."""

    positives: Indices
    """[p] images of the class."""
    negatives: Indices
    """[m] all others."""
    tie_end: Indices
    """[p] how many positives are ranked as high as this one or higher."""
    above: Indices
    """[p] how many negatives are ranked higher."""
    not_below: Indices
    """[p] how many negatives are ranked as high or higher."""

    @classmethod
    def of(cls, scores: Floats, is_positive: NDArray[np.bool_]) -> "Ranking":
        """Rank n images by their scores [n]."""
        order = np.argsort(-scores, kind="stable")
        positives, negatives = order[is_positive[order]], order[~is_positive[order]]
        of_positives, of_negatives = -scores[positives], -scores[negatives]
        return cls(
            positives,
            negatives,
            tie_end=np.searchsorted(of_positives, of_positives, "right"),
            above=np.searchsorted(of_negatives, of_positives, "left"),
            not_below=np.searchsorted(of_negatives, of_positives, "right"),
        )

    def measure(self, weights: Numbers) -> tuple[Numbers, Numbers]:
        """ROC AUC [R] and average precision [R] for weights [R, n]; NaN where one side is empty."""
        hits, alarms = running_sums(weights.take(self.positives, 1)), running_sums(weights.take(self.negatives, 1))
        not_below = alarms.take(self.not_below, 1)
        no_ties = np.array_equal(self.above, self.not_below)
        above = not_below if no_ties else (not_below + alarms.take(self.above, 1)) / 2
        return _auc_and_precision(hits, self.tie_end, not_below, above, alarms[:, -1])


@dataclass(frozen=True)
class RareClass:
    """A class with few images."""

    index: int
    positives: Indices
    """[p] images of the class, largest probability first."""
    tie_end: Indices
    """[p] how many positives are ranked as high as this one or higher."""

    @classmethod
    def of(cls, probabilities: Floats, truth: Indices, index: int) -> "RareClass":
        """Rank the images of a class by its probability, of [n, K]."""
        images = np.flatnonzero(truth == index)
        scores = -probabilities[images, index]
        order = np.argsort(scores, kind="stable")
        return cls(index, images[order], np.searchsorted(scores[order], scores[order], "right"))


@dataclass(frozen=True)
class RareRankings:
    """The rankings of several classes with few images each, at a cost proportional to their images.

    How many negatives are ranked above each positive is one matrix product: weights [R, n] times whether an image is a
    negative with a larger probability [n, P]. Running sums over all negatives, class by class, would take minutes for
    1,000 classes.
    """

    probabilities: Floats
    """[n, K]"""
    truth: Indices
    """[n] class index."""
    classes: Sequence[RareClass]

    @classmethod
    def of(cls, probabilities: Floats, truth: Indices, classes: Sequence[int]) -> "RareRankings":
        """Rank n images by the probabilities [n, K] of these classes."""
        return cls(probabilities, truth, [RareClass.of(probabilities, truth, k) for k in classes])

    def measure(self, weights: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
        """ROC AUC [R] and average precision [R] of each class in turn, for weights [R, n]."""
        total = weights.sum(axis=1)
        counts: Counts = weights.astype(np.float32) if total.max() < EXACT else weights
        for block in self._blocks():
            sides, start = self._ranked_above(counts, block), 0
            for item in block:
                hits = running_sums(weights.take(item.positives, 1))
                columns = slice(start, start := start + len(item.positives))
                not_below, above = (side[:, columns].astype(np.float64) for side in sides)
                yield _auc_and_precision(hits, item.tie_end, not_below, above, total - hits[:, -1])

    def _blocks(self) -> Iterator[list[RareClass]]:
        """Classes, in blocks whose comparison matrix has at most BLOCK elements, or of a single class."""
        block, columns, most = list[RareClass](), 0, BLOCK // len(self.truth)
        for item in self.classes:
            if block and columns + len(item.positives) > most:
                yield block
                block, columns = [], 0
            block.append(item)
            columns += len(item.positives)
        if block:
            yield block

    def _ranked_above(self, counts: Counts, block: Sequence[RareClass]) -> tuple[Counts, Counts]:
        """Negatives that are ranked as high as each positive or higher, [R, P], and the same with ties as halves."""
        positives = np.concatenate([item.positives for item in block])
        classes = np.repeat([item.index for item in block], [len(item.positives) for item in block])
        scores, thresholds = self.probabilities[:, classes], self.probabilities[positives, classes]
        negative = self.truth[:, None] != classes
        reached, exceeded = (scores >= thresholds) & negative, (scores > thresholds) & negative
        not_below = counts @ reached.astype(counts.dtype)
        tied = np.flatnonzero((reached != exceeded).any(axis=0))
        if not len(tied):
            return not_below, not_below
        above = not_below.copy()
        above[:, tied] = (not_below[:, tied] + counts @ exceeded[:, tied].astype(counts.dtype)) / 2
        return not_below, above


def running_sums(weights: Numbers) -> Numbers:
    """Sums [R, m + 1] of the first 0, 1, ... m of the weights [R, m]."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _auc_and_precision(
    hits: Numbers, tie_end: Indices, not_below: Numbers, above: Numbers, negatives: Numbers
) -> tuple[Numbers, Numbers]:
    """ROC AUC (ties count half) and average precision, [R] each; NaN where one side is empty.

    Average precision is the sum over thresholds of precision times the gain in recall, without interpolation.

    Args:
        hits: [R, p + 1] running sums of the positives' weights, the highest ranked first.
        tie_end: [p] how many positives are ranked as high as this one or higher.
        not_below: [R, p] weight of the negatives that are ranked as high as this positive or higher.
        above: [R, p] the same, with those ranked as high counted half.
        negatives: [R] weight of all negatives.
    """
    gained, positives, true = np.diff(hits, axis=1), hits[:, -1], hits.take(tie_end, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.divide(true, true + not_below, out=np.zeros_like(true), where=true > 0)
        auc = 1 - np.einsum("rp,rp->r", gained, above) / (positives * negatives)
        average = np.einsum("rp,rp->r", gained, precision) / np.where(negatives > 0, positives, np.nan)
    return auc, average
