"""How good predictions are: numbers from scikit-learn, in one dataclass."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.card import ClassName
from infer.session import Floats

BINS = 15
"""Of equal width, for the calibration error; the number in the paper that it comes from."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Predictions joined with truth; all that a report is made from."""

    title: str
    """What was evaluated on what, for people."""
    classes: tuple[ClassName, ...]
    ordered: bool
    paths: tuple[str, ...]
    """[n] the images, as people know them."""
    truth: NDArray[np.int64]
    """[n] class index."""
    probabilities: Floats
    """[n, K]"""
    temperature: float = 1.0
    """By which the logits were divided."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """[n] class index of the largest probability."""
        indices: NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return indices


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One class against the rest. A ratio without a denominator is 0."""

    precision: float
    recall: float
    f1: float
    support: int
    """Images of the class, by truth."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics of n predictions for K classes."""

    images: int
    accuracy: float
    majority_share: float
    """Accuracy of always answering the class that is most frequent among these images."""
    balanced_accuracy: float
    """Mean recall over the classes that occur."""
    macro_f1: float
    """Mean F1 over all classes."""
    kappa: float | None
    """Cohen's, quadratically weighted; 0 where all is of one class, None where classes are not grades."""
    calibration_error: float
    """Expected calibration error, in [0, 1]."""
    uncalibrated_error: float | None
    """The same without the model's temperature; None where it is 1."""
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    """[K, K] images, rows truth, columns prediction."""


def measure(result: EvaluationResult) -> Metrics:
    """All metrics of a result with at least one image."""
    from sklearn.metrics import cohen_kappa_score, confusion_matrix, precision_recall_fscore_support

    labels = np.arange(len(result.classes))
    truth, predicted = result.truth, result.predicted
    confusion = confusion_matrix(truth, predicted, labels=labels)
    scores = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    per_class = tuple(
        ClassMetrics(precision=float(p), recall=float(r), f1=float(f), support=int(n))
        for p, r, f, n in zip(*scores, strict=True)
    )
    support = confusion.sum(axis=1)
    # scikit-learn's balanced_accuracy_score warns about every predicted class that does not occur
    recalls = [item.recall for item in per_class if item.support]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # undefined where all images are of one class; 0 below
        kappa = cohen_kappa_score(truth, predicted, labels=labels, weights="quadratic") if result.ordered else None
    return Metrics(
        images=len(truth),
        accuracy=float((truth == predicted).mean()),
        majority_share=float(support.max() / support.sum()),
        balanced_accuracy=float(np.mean(recalls)),
        macro_f1=float(np.mean([item.f1 for item in per_class])),
        kappa=None if kappa is None else float(np.nan_to_num(kappa)),
        calibration_error=calibration_error(result.probabilities, truth),
        uncalibrated_error=None if result.temperature == 1 else calibration_error(_without(result), truth),
        per_class=per_class,
        confusion=confusion.astype(np.int64),
    )


def normalized(confusion: NDArray[np.int64], by: str) -> NDArray[np.float64]:
    """A confusion matrix as shares of its rows ("true"), columns ("pred") or total ("all"); counts for "none"."""
    total = {"true": confusion.sum(axis=1, keepdims=True), "pred": confusion.sum(axis=0, keepdims=True)}
    divisor = total.get(by, confusion.sum(keepdims=True) if by == "all" else np.ones((1, 1), dtype=np.int64))
    shares: NDArray[np.float64] = np.divide(confusion, np.maximum(divisor, 1))
    return shares


def calibration_error(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Expected calibration error, in [0, 1]: how far confidence is from accuracy, over BINS bins, weighted by images.

    Confidence is the probability of the predicted class (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        probabilities: [n, K], n > 0.
        truth: [n] class index.
    """
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)  # (k / BINS, (k + 1) / BINS]
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _without(result: EvaluationResult) -> Floats:
    """The probabilities [n, K] as they would be without the temperature."""
    tiny = np.finfo(np.float32).tiny
    return softmax(result.temperature * np.log(np.maximum(result.probabilities, tiny)))


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities of logits [n, K], computed in their own precision."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
