"""Metrics under many weightings of the images at once: what a bootstrap and a jackknife ask for.

A weighting counts how often each image is drawn. All of it runs on one thread and adds up in one order, so that the
same images give the same numbers on every machine and for every number of threads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats

BINS = 15
"""Of equal width, for the calibration error; the number in the paper that it comes from."""

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]


def calibration_bins(probabilities: Floats) -> tuple[Numbers, Indices]:
    """The confidence of each image, [n], which is its largest probability, and the bin that it falls into, [n]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (k / BINS, (k + 1) / BINS]
    return confidence, bins


def image_losses(probabilities: Floats, truth: Indices) -> tuple[Numbers, Numbers]:
    """Log loss and Brier score of each image, [n] each.

    Log loss is -ln of the truth's probability, which is clipped as scikit-learn clips it, to [2.2e-16, 1 - 2.2e-16].
    The Brier score is the squared distance from the truth (Brier 1950), in [0, 2]; with two classes half of it, which
    is the squared error of the second class's probability, in [0, 1]. Both as scikit-learn has them.
    """
    wide, least = probabilities.astype(np.float64), np.finfo(np.float64).eps
    log = -np.log(np.clip(wide[np.arange(len(truth)), truth], least, 1 - least))
    brier = ((wide - np.eye(wide.shape[1])[truth]) ** 2).sum(axis=1)
    return log, brier / 2 if wide.shape[1] == 2 else brier


@dataclass(frozen=True)
class Ranking:
    """The images by one class's probability, the largest first: positives [p], which are of the class, and others."""

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
        """The ranking by scores [n]."""
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
        """ROC AUC (ties count half) and average precision, [R] each, of weightings [R, n]; NaN where one side is empty.

        Average precision is the sum over thresholds of precision times the gain in recall, without interpolation.
        """
        hits, alarms = _running(weights.take(self.positives, 1)), _running(weights.take(self.negatives, 1))
        gained, positives, negatives = np.diff(hits, axis=1), hits[:, -1], alarms[:, -1]
        false = alarms.take(self.not_below, 1)
        beaten = false if np.array_equal(self.above, self.not_below) else (false + alarms.take(self.above, 1)) / 2
        true = hits.take(self.tie_end, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
            auc = 1 - np.einsum("rp,rp->r", gained, beaten) / (positives * negatives)
            average = np.einsum("rp,rp->r", gained, precision) / np.where(negatives > 0, positives, np.nan)
        return auc, average


@dataclass(frozen=True)
class Weighted:
    """Predictions of n images for K classes, put in order once for any number of weightings."""

    classes: int
    ordered: bool
    order: Indices
    """[n] the images by bin of confidence, then by cell of the confusion matrix."""
    starts: Indices
    """Where a new bin or cell begins in that order, [c]."""
    cells: Indices
    """[c] which cell of the confusion matrix, truth * K + prediction."""
    bin_starts: Indices
    """Where a new bin begins."""
    gaps: Numbers
    """[n] right (1 or 0) minus confidence, in that order."""
    losses: tuple[Numbers, Numbers]
    """[n] log loss and Brier score."""
    rankings: tuple[Ranking, ...]
    """[K]"""
    occurring: NDArray[np.bool_]
    """[K] whether a class has an image."""

    @classmethod
    def of(cls, probabilities: Floats, truth: Indices, ordered: bool) -> "Weighted":
        """`ordered`: whether classes are grades. n > 0."""
        classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
        confidence, bins = calibration_bins(probabilities)
        keys = (bins * classes + truth) * classes + predicted
        order = np.argsort(keys, kind="stable")
        found, starts = np.unique(keys[order], return_index=True)
        return cls(
            classes=classes,
            ordered=ordered,
            order=order,
            starts=starts,
            cells=found % classes**2,
            bin_starts=np.unique(bins[order], return_index=True)[1],
            gaps=((predicted == truth) - confidence)[order],
            losses=image_losses(probabilities, truth),
            rankings=tuple(Ranking.of(probabilities[:, k], truth == k) for k in range(classes)),
            occurring=np.isin(np.arange(classes), truth),
        )

    def measure(self, weights: Numbers) -> dict[str, Numbers]:
        """Every metric by name, [R] each, of weightings [R, n]; one of class k is `f1 k`. NaN where undefined.

        The calibration error is told as the gap of each bin that has images, [R, B]: the sum of their distances from 0.
        """
        ordered = weights.take(self.order, 1)
        counts = np.add.reduceat(ordered, self.starts, axis=1)
        confusion = counts @ np.eye(self.classes**2)[self.cells]  # whole numbers: exact in any order
        matrices = confusion.reshape(-1, self.classes, self.classes)
        found = confusion_metrics(matrices, self.ordered)
        lost = (matrices.sum(axis=2)[:, self.occurring] == 0).any(axis=1)  # else the mean would leave a hard class out
        for name in ("balanced_accuracy", "macro_f1"):
            found[name][lost] = np.nan
        total = counts.sum(axis=1)
        gaps = np.add.reduceat(ordered * self.gaps, self.bin_starts, axis=1)
        found["calibration_error"] = gaps / total[:, None]
        for name, losses in zip(("log_loss", "brier"), self.losses, strict=True):
            found[name] = np.einsum("rn,n->r", weights, losses) / total
        ranked = np.array([ranking.measure(weights) for ranking in self.rankings])  # [K, 2, R]
        for name, values in zip(("roc_auc", "average_precision"), ranked.swapaxes(0, 1), strict=True):
            found[name] = values[1] if self.classes == 2 else mean_defined(values.T)
            found |= {f"{name} {k}": value for k, value in enumerate(values)}
        return found


def confusion_metrics(confusion: Numbers, ordered: bool) -> dict[str, Numbers]:
    """What R confusion matrices [R, K, K] tell, [R] each; rows are truth. NaN where undefined.

    Matthews' correlation is Gorodkin's for several classes (2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006).
    """
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    support, predicted, total = confusion.sum(axis=2), confusion.sum(axis=1), confusion.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * hits / (support + predicted)
        found = {
            "balanced_accuracy": mean_defined(hits / support),
            "macro_f1": mean_defined(f1),
            "weighted_f1": np.nansum(f1 * support, axis=1) / total,
        }
        spread_true, spread_told = (total**2 - (counts**2).sum(axis=1) for counts in (support, predicted))
        covariance = hits.sum(axis=1) * total - (support * predicted).sum(axis=1)
        matthews = covariance / np.sqrt(np.where(spread_told > 0, spread_true * spread_told, 1))
        found["matthews"] = np.where(spread_true > 0, matthews, np.nan)
        if ordered:
            grades = np.arange(confusion.shape[1])
            cost = ((grades[:, None] - grades) ** 2).astype(np.float64)
            by_chance = np.einsum("rt,tp,rp->r", support, cost, predicted) / total
            found["kappa"] = 1 - np.einsum("rtp,tp->r", confusion, cost) / by_chance
    return found | {f"f1 {k}": f1[:, k] for k in range(f1.shape[1])}


def mean_defined(values: Numbers) -> Numbers:
    """Means [R] over what is defined in the rows of [R, K]; NaN where nothing is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Numbers = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return means


def _running(weights: Numbers) -> Numbers:
    """Sums [R, m + 1] of the first 0, 1, ... m of the weights [R, m]."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
