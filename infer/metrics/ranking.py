"""ROC AUC and average precision of classes under many resamples of the images at once.

A resample is given by how often it draws each image. Counts are whole numbers, and so are their sums, so that they are
exact in any order and for any number of threads.
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
        false = alarms.take(self.not_below, 1)
        beaten = false if np.array_equal(self.above, self.not_below) else (false + alarms.take(self.above, 1)) / 2
        return _auc_and_precision(hits, self.tie_end, false, beaten, alarms[:, -1])


@dataclass(frozen=True)
class RareRankings:
    """The same for several classes with few images each, at a cost in proportion to their images.

    How many negatives are ranked above each positive is one matrix product: weights [R, n] times whether an image is a
    negative with a larger probability [n, P]. Running sums over all negatives, class by class, would take minutes for
    1,000 classes.
    """

    probabilities: Floats
    """[n, K]"""
    truth: Indices
    """[n] class index."""
    classes: Sequence[int]
    """The C classes that are ranked."""
    positives: Sequence[Indices]
    """[C] of [p] images of the class, largest probability first."""
    tie_ends: Sequence[Indices]
    """[C] of [p] how many positives are ranked as high as this one or higher."""

    @classmethod
    def of(cls, probabilities: Floats, truth: Indices, classes: Sequence[int]) -> "RareRankings":
        """Rank n images by the probabilities [n, K] of each of these classes."""
        positives, tie_ends = [], []
        for k in classes:
            images = np.flatnonzero(truth == k)
            scores = -probabilities[images, k]
            order = np.argsort(scores, kind="stable")
            positives.append(images[order])
            tie_ends.append(np.searchsorted(scores[order], scores[order], "right"))
        return cls(probabilities, truth, classes, positives, tie_ends)

    def measure(self, weights: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
        """ROC AUC [R] and average precision [R] of each class in turn, for weights [R, n]."""
        total = weights.sum(axis=1)
        counts: Counts = weights.astype(np.float32) if total.max() < EXACT else weights
        for block in self._blocks():
            false, beaten = self._above(counts, block)
            start = 0
            for place in block:
                hits = running_sums(weights.take(self.positives[place], 1))
                columns = slice(start, start := start + len(self.positives[place]))
                not_below, above = (side[:, columns].astype(np.float64) for side in (false, beaten))
                yield _auc_and_precision(hits, self.tie_ends[place], not_below, above, total - hits[:, -1])

    def _blocks(self) -> Iterator[list[int]]:
        """Positions of classes whose comparison matrices fit into BLOCK together, or of one class alone."""
        block, columns, most = list[int](), 0, BLOCK // len(self.truth)
        for place, images in enumerate(self.positives):
            if block and columns + len(images) > most:
                yield block
                block, columns = [], 0
            block.append(place)
            columns += len(images)
        if block:
            yield block

    def _above(self, counts: Counts, block: Sequence[int]) -> tuple[Counts, Counts]:
        """How many negatives are ranked as high as each positive or higher [R, p], and the same with ties as halves."""
        positives = np.concatenate([self.positives[place] for place in block])
        classes = np.repeat([self.classes[place] for place in block], [len(self.positives[place]) for place in block])
        scores, thresholds = self.probabilities[:, classes], self.probabilities[positives, classes]
        negative = self.truth[:, None] != classes
        not_below, above = (scores >= thresholds) & negative, (scores > thresholds) & negative
        false = counts @ not_below.astype(counts.dtype)
        tied = np.flatnonzero((not_below != above).any(axis=0))
        if not len(tied):
            return false, false
        beaten = false.copy()
        beaten[:, tied] = (false[:, tied] + counts @ above[:, tied].astype(counts.dtype)) / 2
        return false, beaten


def running_sums(weights: Numbers) -> Numbers:
    """Sums [R, m + 1] of the first 0, 1, ... m of the weights [R, m]."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _auc_and_precision(
    hits: Numbers, tie_end: Indices, false: Numbers, beaten: Numbers, negatives: Numbers
) -> tuple[Numbers, Numbers]:
    """ROC AUC (ties count half) and average precision, [R] each; NaN where one side is empty.

    Average precision is the sum over thresholds of precision times the gain in recall, without interpolation.

    Args:
        hits: [R, p + 1] running sums of the positives' weights, the highest ranked first.
        tie_end: [p] how many positives are ranked as high as this one or higher.
        false: [R, p] weight of the negatives that are ranked as high as this positive or higher.
        beaten: [R, p] the same with those ranked as high counted half.
        negatives: [R] weight of all negatives.
    """
    gained, positives, true = np.diff(hits, axis=1), hits[:, -1], hits.take(tie_end, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
        auc = 1 - np.einsum("rp,rp->r", gained, beaten) / (positives * negatives)
        average = np.einsum("rp,rp->r", gained, precision) / np.where(negatives > 0, positives, np.nan)
    return auc, average
