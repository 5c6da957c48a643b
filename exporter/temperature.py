"""Temperature scaling, which calibrates probabilities: probabilities = softmax(logits / temperature)."""

import math

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats

LIMIT = 20.0
"""A fit above this, or below its inverse, is rejected: the likelihood has no maximum."""


MIN_IMAGES = 3
"""With fewer images classified right, or fewer classified wrong, a temperature cannot be fitted."""


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float | None:
    """The temperature under which the truth is most likely (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    The mean negative log-likelihood is convex in 1 / temperature. None where it has no minimum, as for logits without
    information, and where fewer than MIN_IMAGES images are classified right, or wrong.

    Args:
        logits: [n, K], n > 0.
        truth: [n] class index.
    """
    from scipy.optimize import minimize_scalar

    right = int((logits.argmax(axis=1) == truth).sum())
    if min(right, len(truth) - right) < MIN_IMAGES:
        return None
    wide = logits.astype(np.float64)
    fit = minimize_scalar(
        lambda log: log_loss(wide / math.exp(log), truth),
        bounds=(-math.log(LIMIT), math.log(LIMIT)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = math.exp(fit.x)
    inside = 1.01 / LIMIT < temperature < LIMIT / 1.01
    return round(temperature, 4) if inside else None


def log_loss(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """The mean negative log-likelihood of the truth [n] under softmax(logits [n, K])."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    total = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    return float((total - wide[np.arange(len(truth)), truth]).mean())
