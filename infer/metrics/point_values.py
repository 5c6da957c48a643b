"""The values of the metrics that have no formula for their interval, from scikit-learn where it has them."""

import warnings

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.resampled import BINS, calibration_bins, image_losses, mean_defined

OVERALL = (
    *("balanced_accuracy", "macro_f1", "weighted_f1", "matthews"),
    *("roc_auc", "average_precision", "log_loss", "brier", "calibration_error"),
)
"""Of all classes together; `kappa` too, where classes are grades."""
BY_CLASS = ("f1", "roc_auc", "average_precision")
"""Of each class k, as `f1 k`."""
LOSSES = ("log_loss", "brier", "calibration_error")
"""Metrics whose best is 0."""


def point_values(probabilities: Floats, truth: NDArray[np.int64], ordered: bool) -> dict[str, float | None]:
    """Each metric by name; None where it is undefined.

    Args:
        probabilities: [n, K], n > 0.
        truth: [n] class index.
        ordered: whether classes are grades.
    """
    from sklearn.metrics import cohen_kappa_score, f1_score, matthews_corrcoef

    predicted, labels = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    several, two = len(np.unique(truth)) > 1, len(labels) == 2
    recalls = np.array([np.mean(predicted[truth == k] == k) for k in labels if (truth == k).any()])
    log, brier = image_losses(probabilities, truth)
    f1 = f1_score(truth, predicted, labels=labels, average=None, zero_division=np.nan)
    aucs, precisions = zip(*(_ranked(probabilities[:, k], truth == k) for k in labels), strict=True)
    values = {
        "balanced_accuracy": recalls.mean(),  # scikit-learn's warns of every predicted class that does not occur
        "macro_f1": f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": f1_score(truth, predicted, average="weighted", zero_division=0),
        "matthews": matthews_corrcoef(truth, predicted) if several else np.nan,
        "roc_auc": aucs[1] if two else mean_defined(np.array([aucs]))[0],
        "average_precision": precisions[1] if two else mean_defined(np.array([precisions]))[0],
        "log_loss": log.mean(),
        "brier": brier.mean(),
        "calibration_error": calibration_error(probabilities, truth),
        **{f"f1 {k}": f1[k] for k in labels},
        **{f"roc_auc {k}": aucs[k] for k in labels},
        **{f"average_precision {k}": precisions[k] for k in labels},
    }
    if ordered:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where one class is all there is, kappa is 0 / 0, told as None
            values["kappa"] = cohen_kappa_score(truth, predicted, labels=labels, weights="quadratic")
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def calibration_error(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Expected calibration error, in [0, 1]: how far confidence is from accuracy, over BINS bins, weighted by images.

    Confidence is the probability of the predicted class (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        probabilities: [n, K], n > 0.
        truth: [n] class index.
    """
    confidence, bins = calibration_bins(probabilities)
    gaps = np.bincount(bins, (probabilities.argmax(axis=1) == truth) - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _ranked(scores: Floats, is_class: NDArray[np.bool_]) -> tuple[float, float]:
    """ROC AUC and average precision of one class against the rest; NaN without either side, or with NaN."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if is_class.all() or not is_class.any() or not np.isfinite(scores).all():
        return np.nan, np.nan
    return float(roc_auc_score(is_class, scores)), float(average_precision_score(is_class, scores))
