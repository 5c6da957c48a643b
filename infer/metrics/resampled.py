"""Each metric under R resamples of the images at once, [R]; NaN where it is undefined."""

import numpy as np

from infer.metrics.draws import Draws
from infer.metrics.losses import Numbers, mean_defined


def balanced_accuracy(draws: Draws) -> Numbers:
    """Mean recall of the classes that occur; NaN where one of them lost all its images."""
    with np.errstate(invalid="ignore"):
        return draws.mean_over_classes(draws.hits / draws.support)


def macro_f1(draws: Draws) -> Numbers:
    """Mean F1 of the classes that occur, in truth or prediction; NaN where a class lost all its images."""
    return draws.mean_over_classes(draws.class_f1)


def weighted_f1(draws: Draws) -> Numbers:
    """Mean F1, weighted by the images of each class."""
    means: Numbers = np.nansum(draws.class_f1 * draws.support, axis=1) / draws.total
    return means


def matthews(draws: Draws) -> Numbers:
    """Matthews correlation; Gorodkin's for several classes (2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006)."""
    total = draws.total
    true_spread, predicted_spread = (total**2 - (c**2).sum(axis=1) for c in (draws.support, draws.predicted))
    covariance = draws.hits.sum(axis=1) * total - (draws.support * draws.predicted).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance / np.sqrt(np.where(predicted_spread > 0, true_spread * predicted_spread, 1))
    return np.where(true_spread > 0, correlation, np.nan)


def kappa(draws: Draws) -> Numbers:
    """Cohen's kappa with quadratic weights; NaN where one class is all there is."""
    grades = np.arange(draws.predictions.classes, dtype=np.float64)
    cost = (grades[:, None] - grades) ** 2
    observed = draws.counts @ draws.predictions.squared_errors
    by_chance = ((draws.support @ cost) * draws.predicted).sum(axis=1) / draws.total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - observed / by_chance)


def roc_auc(draws: Draws) -> Numbers:
    """ROC AUC of the second of two classes; of several classes, the mean of each against the rest."""
    return _second_or_mean(draws.class_ranking[0])


def average_precision(draws: Draws) -> Numbers:
    """Average precision of the second of two classes; of several classes, the mean of each against the rest."""
    return _second_or_mean(draws.class_ranking[1])


def log_loss(draws: Draws) -> Numbers:
    """Mean -ln of the true class's probability."""
    return _mean_loss(draws, draws.predictions.losses[0])


def brier(draws: Draws) -> Numbers:
    """Mean Brier score."""
    return _mean_loss(draws, draws.predictions.losses[1])


def calibration_gaps(draws: Draws) -> Numbers:
    """Accuracy minus confidence in each of the B bins that have images, weighted by their images: [R, B].

    The calibration error is the sum of their distances from 0.
    """
    sums = np.add.reduceat(draws.ordered * draws.predictions.gaps, draws.predictions.bin_starts, axis=1)
    gaps: Numbers = sums / draws.total[:, None]
    return gaps


def _mean_loss(draws: Draws, losses: Numbers) -> Numbers:
    means: Numbers = np.einsum("rn,n->r", draws.weights, losses) / draws.total
    return means


def _second_or_mean(by_class: Numbers) -> Numbers:
    return by_class[:, 1] if by_class.shape[1] == 2 else mean_defined(by_class)
