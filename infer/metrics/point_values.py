"""Point values of the metrics that have no formula for their interval, from scikit-learn where it has them."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.losses import BINS, Indices, Numbers, calibration_bins, image_losses, mean_defined


@dataclass(frozen=True)
class Sample:
    """Predictions of n > 0 images for K classes with their truth; what several metrics need is computed once."""

    probabilities: Floats
    """[n, K]"""
    truth: Indices
    """[n] class index."""

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    @cached_property
    def predicted(self) -> Indices:
        """[n] class index of the largest probability."""
        indices: Indices = self.probabilities.argmax(axis=1)
        return indices

    @cached_property
    def losses(self) -> tuple[Numbers, Numbers]:
        """[n] log loss and [n] Brier score of each image."""
        return image_losses(self.probabilities, self.truth)

    @cached_property
    def class_f1(self) -> Numbers:
        """[K] F1 of each class; NaN where it is neither in the truth nor predicted."""
        from sklearn.metrics import f1_score

        labels = np.arange(self.classes)
        scores: Numbers = f1_score(self.truth, self.predicted, labels=labels, average=None, zero_division=np.nan)
        return scores

    @cached_property
    def class_ranking(self) -> tuple[Numbers, Numbers]:
        """[K] ROC AUC and [K] average precision of each class against the rest; NaN where one side has no images."""
        pairs = [_ranking(self.probabilities[:, k], self.truth == k) for k in range(self.classes)]
        aucs, precisions = np.array(pairs).T
        return aucs, precisions


def balanced_accuracy(sample: Sample) -> float:
    """Mean recall of the classes that occur.

    scikit-learn's gives the same, with a warning for every predicted class that does not occur.
    """
    present = np.unique(sample.truth)
    return float(np.array([np.mean(sample.predicted[sample.truth == k] == k) for k in present]).mean())


def macro_f1(sample: Sample) -> float:
    """Mean F1 of the classes that occur, in truth or prediction."""
    from sklearn.metrics import f1_score

    return float(f1_score(sample.truth, sample.predicted, average="macro", zero_division=0))


def weighted_f1(sample: Sample) -> float:
    """Mean F1, weighted by the images of each class."""
    from sklearn.metrics import f1_score

    return float(f1_score(sample.truth, sample.predicted, average="weighted", zero_division=0))


def matthews(sample: Sample) -> float:
    """Matthews correlation, in [-1, 1]: 0 where one class is always predicted, NaN where only one occurs."""
    from sklearn.metrics import matthews_corrcoef

    several = len(np.unique(sample.truth)) > 1
    return float(matthews_corrcoef(sample.truth, sample.predicted)) if several else np.nan


def kappa(sample: Sample) -> float:
    """Cohen's kappa with quadratic weights, in [-1, 1]; NaN (0 / 0) where one class is all there is."""
    from sklearn.metrics import cohen_kappa_score

    labels = np.arange(sample.classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cohen_kappa_score(sample.truth, sample.predicted, labels=labels, weights="quadratic"))


def roc_auc(sample: Sample) -> float:
    """ROC AUC of the second of two classes; of several classes, the mean of each against the rest."""
    return _second_or_mean(sample.class_ranking[0])


def average_precision(sample: Sample) -> float:
    """Average precision of the second of two classes; of several classes, the mean of each against the rest."""
    return _second_or_mean(sample.class_ranking[1])


def calibration_error(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Expected calibration error, in [0, 1]: |accuracy - confidence|, averaged over BINS bins weighted by their images.

    Confidence is the probability of the predicted class (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        probabilities: [n, K], n > 0.
        truth: [n] class index.
    """
    confidence, bins = calibration_bins(probabilities)
    gaps = np.bincount(bins, (probabilities.argmax(axis=1) == truth) - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(truth))


def uncalibrated_error(probabilities: Floats, truth: NDArray[np.int64], temperature: float) -> float | None:
    """The calibration error without the model's temperature, by which logits were divided; None where that is 1."""
    if temperature == 1:
        return None
    tiny = np.finfo(np.float32).tiny
    return calibration_error(softmax(temperature * np.log(np.maximum(probabilities, tiny))), truth)


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities of logits [n, K], computed in their own precision."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def _second_or_mean(by_class: Numbers) -> float:
    return float(by_class[1] if len(by_class) == 2 else mean_defined(by_class[None])[0])


def _ranking(scores: Floats, is_class: NDArray[np.bool_]) -> tuple[float, float]:
    """ROC AUC and average precision of one class; NaN where one side is empty or a score is not finite."""
    from sklearn.metrics import auc, average_precision_score, roc_curve

    if is_class.all() or not is_class.any() or not np.isfinite(scores).all():
        return np.nan, np.nan
    false_rate, true_rate, _ = roc_curve(is_class, scores)  # as roc_auc_score does, in less than half of its time
    return float(auc(false_rate, true_rate)), float(average_precision_score(is_class, scores))
