"""Losses and calibration image by image."""

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 15
"""Bins of equal width for the calibration error, as in the paper that it comes from."""
ROWS = 1024
"""Images whose losses are computed at once, so that memory does not grow with images times classes."""


def calibration_bins(probabilities: Floats) -> tuple[Numbers, Indices]:
    """The confidence of each image [n], its largest probability, and the bin that this falls into [n]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (k / BINS, (k + 1) / BINS]
    return confidence, bins


def image_losses(probabilities: Floats, truth: Indices) -> tuple[Numbers, Numbers]:
    """Log loss and Brier score of each image, [n] each.

    Log loss is -ln of the true class's probability, clipped as scikit-learn clips it, to [2.2e-16, 1 - 2.2e-16].
    The Brier score is the squared distance from the truth (Brier 1950), in [0, 2]; with two classes half of it, which
    is the squared error of the second class's probability, in [0, 1]. Both as in scikit-learn.
    """
    classes, least = probabilities.shape[1], np.finfo(np.float64).eps
    own = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    log = -np.log(np.clip(own, least, 1 - least))
    one_hot, brier = np.eye(classes), np.empty(len(truth))
    for start in range(0, len(truth), ROWS):
        rows = slice(start, start + ROWS)
        brier[rows] = ((probabilities[rows].astype(np.float64) - one_hot[truth[rows]]) ** 2).sum(axis=1)
    return log, brier / 2 if classes == 2 else brier


def mean_defined(values: Numbers) -> Numbers:
    """Means [R] over what is defined in the rows of [R, K]; NaN where nothing is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Numbers = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return means
