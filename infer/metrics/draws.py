"""Resamples of the images, with the counts that metrics share.

A resample is given by weights: how often it draws each image. Sums run on one thread in one order, or are sums of whole
numbers, so that the same images give the same numbers on every machine and with any number of threads.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.bootstrap import AT_ONCE
from infer.metrics.losses import Indices, Numbers, calibration_bins, image_losses, mean_defined
from infer.metrics.ranking import Ranking, RareRankings

MANY_CLASSES = 32
"""With more classes, their rankings take most of the time, and larger blocks of resamples pay."""
MANY_AT_ONCE = 2**22
"""Weights in such a block: 32 MiB."""
RARE = 128
"""A class with at most this many images is ranked faster by a matrix product than by running sums."""


@dataclass(frozen=True)
class ClassSums:
    """Sums the columns of a matrix by the class that each column belongs to."""

    classes: int
    order: Indices
    """The columns that belong to a class, class by class."""
    starts: Indices
    """Where the next class begins in that order."""
    present: Indices
    """The classes that have columns."""

    @classmethod
    def of(cls, class_of: Indices, classes: int, columns: NDArray[np.bool_] | None = None) -> "ClassSums":
        """`class_of` [c]: the class of each column; `columns` [c]: which columns count, by default all."""
        chosen = np.arange(len(class_of)) if columns is None else np.flatnonzero(columns)
        order = chosen[np.argsort(class_of[chosen], kind="stable")]
        present, starts = np.unique(class_of[order], return_index=True)
        return cls(classes, order, starts, present)

    def __call__(self, counts: Numbers) -> Numbers:
        """Sums [R, K] of counts [R, c]."""
        sums = np.zeros((len(counts), self.classes))
        if len(self.order):
            sums[:, self.present] = np.add.reduceat(counts.take(self.order, 1), self.starts, axis=1)
        return sums


@dataclass(frozen=True)
class SortedPredictions:
    """Predictions of n > 0 images for K classes, put in order once for any number of resamples."""

    classes: int
    order: Indices
    """[n] the images by bin of confidence, then by cell of the confusion matrix."""
    starts: Indices
    """[c] where a new bin or cell begins in that order."""
    support: ClassSums
    """Images in each of the c bins and cells, by true class."""
    predicted: ClassSums
    """Images by predicted class."""
    hits: ClassSums
    """Correctly classified images by class."""
    squared_errors: Numbers
    """[c] (truth - prediction) squared, as grades."""
    bin_starts: Indices
    """Where a new bin begins in `order`."""
    gaps: Numbers
    """[n] right (1 or 0) minus confidence, in that order."""
    losses: tuple[Numbers, Numbers]
    """[n] log loss and Brier score."""
    rankings: dict[int, Ranking]
    """Rankings by class, for classes with many images."""
    rare: RareRankings
    """Rankings for the other classes."""

    @classmethod
    def of(cls, probabilities: Floats, truth: Indices) -> "SortedPredictions":
        """Probabilities [n, K] and true class indices [n]."""
        classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
        confidence, bins = calibration_bins(probabilities)
        keys = (bins * classes + truth) * classes + predicted
        order = np.argsort(keys, kind="stable")
        cells, starts = np.unique(keys[order], return_index=True)
        rows, columns = np.divmod(cells % classes**2, classes)
        counts = np.bincount(truth, minlength=classes)
        rare = [k for k in range(classes) if counts[k] <= _rare_limit(classes, len(truth))]
        return cls(
            classes=classes,
            order=order,
            starts=starts,
            support=ClassSums.of(rows, classes),
            predicted=ClassSums.of(columns, classes),
            hits=ClassSums.of(rows, classes, rows == columns),
            squared_errors=((rows - columns) ** 2).astype(np.float64),
            bin_starts=np.unique(bins[order], return_index=True)[1],
            gaps=((predicted == truth) - confidence)[order],
            losses=image_losses(probabilities, truth),
            rankings={k: Ranking.of(probabilities[:, k], truth == k) for k in sorted({*range(classes)} - {*rare})},
            rare=RareRankings.of(probabilities, truth, rare),
        )

    @property
    def at_once(self) -> int:
        """How many weights to make `Draws` of at once."""
        return MANY_AT_ONCE if self.classes > MANY_CLASSES else AT_ONCE


class Draws:
    """R resamples of the images, with the counts that several metrics share.

    Attributes: predictions (SortedPredictions); weights, [R, n] whole numbers.
    """

    def __init__(self, predictions: SortedPredictions, weights: Numbers) -> None:
        self.predictions, self.weights = predictions, weights

    @cached_property
    def ordered(self) -> Numbers:
        """[R, n] the weights in the order of the predictions."""
        return self.weights.take(self.predictions.order, 1)

    @cached_property
    def counts(self) -> Numbers:
        """[R, c] images of each bin and cell of the confusion matrix."""
        counts: Numbers = np.add.reduceat(self.ordered, self.predictions.starts, axis=1)
        return counts

    @cached_property
    def total(self) -> Numbers:
        """[R] images."""
        total: Numbers = self.counts.sum(axis=1)
        return total

    @cached_property
    def support(self) -> Numbers:
        """[R, K] images of each true class."""
        return self.predictions.support(self.counts)

    @cached_property
    def predicted(self) -> Numbers:
        """[R, K] images of each predicted class."""
        return self.predictions.predicted(self.counts)

    @cached_property
    def hits(self) -> Numbers:
        """[R, K] images of each class that are classified correctly."""
        return self.predictions.hits(self.counts)

    @cached_property
    def class_f1(self) -> Numbers:
        """[R, K] F1 of each class; NaN where it is neither in the truth nor predicted."""
        with np.errstate(invalid="ignore"):
            f1: Numbers = 2 * self.hits / (self.support + self.predicted)
        return f1

    @cached_property
    def class_ranking(self) -> tuple[Numbers, Numbers]:
        """[R, K] ROC AUC and [R, K] average precision of each class against the rest; NaN where one side is empty."""
        ranked = np.empty((self.predictions.classes, 2, len(self.weights)))
        for k, ranking in self.predictions.rankings.items():
            ranked[k] = ranking.measure(self.weights)
        rare = self.predictions.rare
        for item, pair in zip(rare.classes, rare.measure(self.weights), strict=True):
            ranked[item.index] = pair
        return ranked[:, 0].T, ranked[:, 1].T

    def mean_over_classes(self, values: Numbers) -> Numbers:
        """[R] means of values [R, K]; NaN where a class lost all its images: the mean might leave out a hard one."""
        means = mean_defined(values)
        means[(self.support[:, self.predictions.support.present] == 0).any(axis=1)] = np.nan
        return means


def _rare_limit(classes: int, images: int) -> int:
    """The most images of a class that `RareRankings` is used for; few classes take running sums in small blocks."""
    if classes <= MANY_CLASSES:
        return -1
    rows = MANY_AT_ONCE // images
    return min(RARE, 4 * rows)  # each block of resamples compares all images again, which few rows do not pay for
