"""How good predictions are, and how sure that is: numbers from scikit-learn with 95% intervals, in one dataclass."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.bootstrap import RESAMPLES, bootstrap, numbered
from infer.metrics.caveats import cautions
from infer.metrics.intervals import clustered_wilson, unvarying
from infer.metrics.point_values import BY_CLASS, LOSSES, OVERALL, calibration_error, point_values
from infer.metrics.resampled import Weighted
from infer.metrics.result import EvaluationResult


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95% interval; all None where it is undefined, such as the recall of a class without images."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One class against the rest."""

    precision: Estimate
    """Of the images that were taken for the class, the share that is."""
    recall: Estimate
    """Of the images of the class, the share that was taken for it; sensitivity."""
    specificity: Estimate
    """Of all other images, the share that was not taken for it."""
    f1: Estimate
    roc_auc: Estimate
    average_precision: Estimate
    support: int
    """Images of the class, by truth."""


@dataclass(frozen=True, kw_only=True)
class ThresholdMetrics:
    """Two classes, where an image is positive when the second one's probability reaches a threshold."""

    positive: int
    """Index of the positive class."""
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    chosen_on: str
    """Which images the threshold was chosen on, for people."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics of n predictions for K classes."""

    images: int
    groups: int | None
    """Patients among them; None where none is known."""
    accuracy: Estimate
    majority_share: float
    """Accuracy of always answering the class that is most frequent among these images."""
    balanced_accuracy: Estimate
    """Mean recall over the classes that occur."""
    macro_f1: Estimate
    """Mean F1 over the classes that occur, in truth or prediction."""
    weighted_f1: Estimate
    """Mean F1, weighted by the classes' images."""
    matthews: Estimate
    """Matthews' correlation, in [-1, 1]: 0 where one class is always predicted, undefined where only one occurs."""
    roc_auc: Estimate
    """Of the second of two classes; the mean of all classes that occur, each against the rest, of several."""
    average_precision: Estimate
    """In the same way."""
    kappa: Estimate | None
    """Cohen's, quadratically weighted, in [-1, 1]; None where classes are not grades."""
    log_loss: Estimate
    """Mean -ln of the truth's probability."""
    brier: Estimate
    """Mean squared distance of the probabilities from the truth; half of it for two classes."""
    calibration_error: Estimate
    """Expected calibration error, in [0, 1]."""
    uncalibrated_error: float | None
    """The same without the model's temperature; None where it is 1."""
    at_threshold: ThresholdMetrics | None
    """None where the model has no threshold."""
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    """[K, K] images, rows truth, columns prediction."""
    notes: tuple[str, ...]
    """What a reader must know to trust the numbers, for people."""


RANKED = ("roc_auc", "average_precision")
"""They compare a class with the rest."""
Share = Callable[[NDArray[np.bool_], NDArray[np.bool_]], Estimate]
"""The share of hits, [n], among the images that are meant, [n]."""


def measure(result: EvaluationResult, resamples: int = RESAMPLES) -> Metrics:
    """All metrics of a result with at least one image; their intervals from so many resamples, of 0 there are none."""
    truth, predicted, classes = result.truth, result.predicted, len(result.classes)
    units = numbered(result.groups, len(truth))
    estimates = _estimates(result, units, resamples)

    def share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        if not among.any():
            return Estimate(None)
        chosen = hits[among]
        return Estimate(float(chosen.mean()), *(clustered_wilson(chosen, units[among]) if resamples else ()))

    confusion = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    return Metrics(
        images=len(truth),
        groups=len(set(result.groups) - {""}) or None,
        accuracy=share(truth == predicted, np.ones(len(truth), dtype=bool)),
        majority_share=float(confusion.sum(axis=1).max() / len(truth)),
        **{name: estimates[name] for name in OVERALL},
        kappa=estimates.get("kappa"),
        uncalibrated_error=None if result.temperature == 1 else calibration_error(_without(result), truth),
        at_threshold=_at_threshold(result, share),
        per_class=tuple(
            ClassMetrics(
                precision=share(truth == k, predicted == k),
                recall=share(predicted == k, truth == k),
                specificity=share(predicted != k, truth != k),
                support=int((truth == k).sum()),
                **{name: estimates[f"{name} {k}"] for name in BY_CLASS},
            )
            for k in range(classes)
        ),
        confusion=confusion,
        notes=(*result.notes, *cautions(result)),
    )


def _estimates(result: EvaluationResult, units: NDArray[np.int64], resamples: int) -> dict[str, Estimate]:
    """The metrics that a bootstrap gives the intervals of, by the names that `point_values` gives them."""
    values = point_values(result.probabilities, result.truth, result.ordered)
    if not resamples:
        return {name: Estimate(value) for name, value in values.items()}
    weighted = Weighted.of(result.probabilities, result.truth, result.ordered)
    cases = {name: _cases(name, result.truth, units) for name in values}
    rarest = {name: count for name, count in cases.items() if name.startswith(RANKED)}
    intervals = bootstrap(weighted.measure, units, resamples, rarest)
    found = {
        name: _estimate(value, intervals[name], cases[name], metric_range(name, len(result.classes)))
        for name, value in values.items()
    }
    for name in ("balanced_accuracy", "macro_f1"):
        if intervals[name]:
            found[name] = _with_open_ends(found[name], result, units)
    return found


def _with_open_ends(mean: Estimate, result: EvaluationResult, units: NDArray[np.int64]) -> Estimate:
    """A mean over classes, whose interval allows for classes of which all images are found in every resample, or none.

    Of such a class resampling has seen nothing of what may happen. What `unvarying` leaves open for it is added, as
    independent errors add: the squares of both.
    """
    if mean.value is None or mean.low is None or mean.high is None:
        return mean
    present = np.unique(result.truth)
    below, above = (mean.value - mean.low) ** 2, (mean.high - mean.value) ** 2
    for k in present:
        hits = result.predicted[result.truth == k] == k
        if hits.all() or not hits.any():
            share = float(hits[0])
            least, most = unvarying(share, len(np.unique(units[result.truth == k])), 0.0, 1.0)
            below += ((share - least) / len(present)) ** 2
            above += ((most - share) / len(present)) ** 2
    return Estimate(mean.value, max(0.0, mean.value - math.sqrt(below)), min(1.0, mean.value + math.sqrt(above)))


def _estimate(
    value: float | None, interval: tuple[float, float] | None, cases: int, between: tuple[float, float]
) -> Estimate:
    """A value with its interval within its range; where resamples told none, what `cases` of them leave open."""
    if value is None:
        return Estimate(None)
    lowest, highest = between
    low, high = interval or unvarying(value, cases, lowest, highest)
    return Estimate(value, max(lowest, min(low, value)), min(highest, max(high, value)))


def metric_range(name: str, classes: int) -> tuple[float, float]:
    """The least and the largest that a metric can be."""
    if name == "brier":
        return 0.0, 1.0 if classes == 2 else 2.0
    if name == "log_loss":
        return 0.0, -math.log(np.finfo(np.float64).eps)  # of a probability as scikit-learn clips it
    return -1.0 if name in ("matthews", "kappa") else 0.0, 1.0


def _cases(name: str, truth: NDArray[np.int64], units: NDArray[np.int64]) -> int:
    """On how many units a metric rests: all, or those of the rarest class that it looks at."""
    _, _, index = name.partition(" ")
    if name in LOSSES or name == "weighted_f1":
        return len(np.unique(units))
    sides = [truth == k for k in np.unique(truth)] if not index else [truth == int(index), truth != int(index)]
    return min(len(np.unique(units[side])) for side in sides)


def _at_threshold(result: EvaluationResult, share: Share) -> ThresholdMetrics | None:
    point = result.operating_point
    if point is None:
        return None
    positive, told = result.truth == 1, result.probabilities[:, 1].astype(np.float64) >= point.threshold
    return ThresholdMetrics(
        positive=1,
        threshold=point.threshold,
        sensitivity=share(told, positive),
        specificity=share(~told, ~positive),
        chosen_on=str(point),
    )


def normalized(confusion: NDArray[np.int64], by: str) -> NDArray[np.float64]:
    """A confusion matrix as shares of its rows ("true"), columns ("pred") or total ("all"); counts for "none"."""
    total = {"true": confusion.sum(axis=1, keepdims=True), "pred": confusion.sum(axis=0, keepdims=True)}
    divisor = total.get(by, confusion.sum(keepdims=True) if by == "all" else np.ones((1, 1), dtype=np.int64))
    shares: NDArray[np.float64] = np.divide(confusion, np.maximum(divisor, 1))
    return shares


def _without(result: EvaluationResult) -> Floats:
    """The probabilities [n, K] as they would be without the temperature."""
    tiny = np.finfo(np.float32).tiny
    return softmax(result.temperature * np.log(np.maximum(result.probabilities, tiny)))


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities of logits [n, K], computed in their own precision."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
