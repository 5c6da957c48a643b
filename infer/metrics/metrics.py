"""Measure predictions: every metric of a report with its 95% interval."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.metrics import kinds
from infer.metrics.bootstrap import RESAMPLES, bootstrap, numbered
from infer.metrics.caveats import caveats
from infer.metrics.definition import Basis, Metric, Share, point_values, resampled_values, statistics_of
from infer.metrics.draws import Draws, SortedPredictions
from infer.metrics.intervals import clustered_wilson, unvarying
from infer.metrics.point_values import Sample, uncalibrated_error
from infer.metrics.result import EvaluationResult

Units = NDArray[np.int64]
"""[n] the unit of each image that is resampled as a whole: its patient, or the image itself."""


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95% interval; all None where it is undefined, such as the recall of a class without images."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One class against the rest. `metrics["recall"]` is the estimate of a metric by its key."""

    estimates: Mapping[str, Estimate]
    support: int
    """Images of the class, by truth."""

    def __getitem__(self, key: str) -> Estimate:
        return self.estimates[key]


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
    """Metrics of n predictions for K classes. `metrics["accuracy"]` is the estimate of a metric by its key."""

    images: int
    groups: int | None
    """Patients among them; None where none is known."""
    estimates: Mapping[str, Estimate]
    """Metrics over all classes, by the keys of `kinds.METRICS`; metrics of grades only where the classes are grades."""
    majority_share: float
    """The majority-class baseline: the accuracy of always predicting the class that is most frequent here."""
    uncalibrated_error: float | None
    """The calibration error without the model's temperature; None where that is 1."""
    at_threshold: ThresholdMetrics | None
    """None where the model has no threshold."""
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    """[K, K] images, rows truth, columns prediction."""
    notes: tuple[str, ...]
    """What a reader must know to trust the numbers, for people."""

    def __getitem__(self, key: str) -> Estimate:
        return self.estimates[key]


def measure(result: EvaluationResult, resamples: int = RESAMPLES) -> Metrics:
    """All metrics of a result with n > 0 images; `resamples`: resamples for the intervals, or 0 for no intervals."""
    sample, classes = Sample(result.probabilities, result.truth), len(result.classes)
    units = numbered(result.groups, len(sample.truth))
    overall, by_class = kinds.overall(result.ordered), kinds.by_class()
    estimates = _statistics([*overall, *by_class], sample, units, resamples)
    intervals = resamples > 0
    for metric in (*overall, *by_class):
        if isinstance(share := metric.computation, Share):
            names = enumerate(metric.names(classes))
            estimates |= {name: _share(*share.masks(sample, k), units, intervals) for k, name in names}
    confusion = np.bincount(sample.truth * classes + sample.predicted, minlength=classes**2).reshape(classes, classes)
    support = confusion.sum(axis=1)
    return Metrics(
        images=len(sample.truth),
        groups=len(set(result.groups) - {""}) or None,
        estimates={metric.key: estimates[metric.key] for metric in overall},
        majority_share=float(support.max() / len(sample.truth)),
        uncalibrated_error=uncalibrated_error(result.probabilities, result.truth, result.temperature),
        at_threshold=_at_threshold(result, units, intervals),
        per_class=tuple(
            ClassMetrics(
                estimates={metric.key: estimates[f"{metric.key} {k}"] for metric in by_class}, support=int(support[k])
            )
            for k in range(classes)
        ),
        confusion=confusion,
        notes=(*result.notes, *caveats(result)),
    )


def metric_values(result: EvaluationResult, keys: Collection[str]) -> dict[str, float | None]:
    """Some metrics of a result with n > 0 images, without intervals, as `measure` has them; None: undefined.

    Returns:
        By name: the key, or `recall 1` for class 1.
    """
    sample = Sample(result.probabilities, result.truth)
    metrics = [metric for metric in kinds.METRICS if metric.key in keys]
    values = point_values(metrics, sample)
    units = np.arange(len(sample.truth))
    for metric in metrics:
        if isinstance(share := metric.computation, Share):
            names = enumerate(metric.names(sample.classes))
            values |= {name: _share(*share.masks(sample, k), units, False).value for k, name in names}
    return values


def _share(hits: NDArray[np.bool_], among: NDArray[np.bool_], units: Units, interval: bool) -> Estimate:
    if not among.any():
        return Estimate(None)
    chosen = hits[among]
    return Estimate(float(chosen.mean()), *(clustered_wilson(chosen, units[among]) if interval else ()))


def _statistics(metrics: list[Metric], sample: Sample, units: Units, resamples: int) -> dict[str, Estimate]:
    """The metrics whose intervals are bootstrapped, by name."""
    values = point_values(metrics, sample)
    if not resamples:
        return {name: Estimate(value) for name, value in values.items()}
    predictions = SortedPredictions.of(sample.probabilities, sample.truth)
    bases = _bases(metrics, sample, units)
    intervals = bootstrap(
        lambda weights: resampled_values(metrics, Draws(predictions, weights)),
        units,
        resamples,
        expand={name: count for name, (basis, count) in bases.items() if basis == Basis.RARER_SIDE},
        at_once=predictions.at_once,
    )
    estimates = {}
    for metric, statistic in statistics_of(metrics):
        for name in metric.names(sample.classes):
            limits = metric.limits(sample.classes)
            estimates[name] = _within_limits(values[name], intervals[name], bases[name][1], limits)
            if statistic.mean_of_classes and intervals[name]:
                estimates[name] = _with_open_ends(estimates[name], sample, units)
    return estimates


def _with_open_ends(mean: Estimate, sample: Sample, units: Units) -> Estimate:
    """A mean over classes, whose interval allows for classes of which all resamples have all images right, or none.

    Resampling has not seen how these may vary. What `unvarying` leaves open for each of them is added, as independent
    errors add: by their squares.
    """
    if mean.value is None or mean.low is None or mean.high is None:
        return mean
    present = np.unique(sample.truth)
    below, above = (mean.value - mean.low) ** 2, (mean.high - mean.value) ** 2
    for k in present:
        hits = sample.predicted[sample.truth == k] == k
        if hits.all() or not hits.any():
            share = float(hits[0])
            least, most = unvarying(share, len(np.unique(units[sample.truth == k])), 0.0, 1.0)
            below += ((share - least) / len(present)) ** 2
            above += ((most - share) / len(present)) ** 2
    return Estimate(mean.value, max(0.0, mean.value - math.sqrt(below)), min(1.0, mean.value + math.sqrt(above)))


def _within_limits(
    value: float | None, interval: tuple[float, float] | None, units: int, limits: tuple[float, float]
) -> Estimate:
    """A value with its interval, clipped to its limits; `units`: for the interval where all resamples agree."""
    if value is None:
        return Estimate(None)
    lowest, highest = limits
    low, high = interval or unvarying(value, units, lowest, highest)
    return Estimate(value, max(lowest, min(low, value)), min(highest, max(high, value)))


def _bases(metrics: list[Metric], sample: Sample, units: Units) -> dict[str, tuple[Basis, int]]:
    """What each statistic's interval rests on, by name: the basis and the number of units."""
    total = int(units.max()) + 1
    pairs = np.unique(np.stack([units, sample.truth]), axis=1)  # of a unit and a class that it has images of
    inside = np.bincount(pairs[1], minlength=sample.classes)
    alone = np.bincount(pairs[0])[pairs[0]] == 1  # units with images of one class only
    outside = total - np.bincount(pairs[1][alone], minlength=sample.classes)
    rarest = int(inside[inside > 0].min())
    bases: dict[str, tuple[Basis, int]] = {}
    for metric, statistic in statistics_of(metrics):
        counts = np.minimum(inside, outside) if metric.by_class else np.array([rarest])
        counts = counts if statistic.basis != Basis.ALL else np.full(len(counts), total)
        names = metric.names(sample.classes)
        bases |= {name: (statistic.basis, int(count)) for name, count in zip(names, counts, strict=True)}
    return bases


def _at_threshold(result: EvaluationResult, units: Units, interval: bool) -> ThresholdMetrics | None:
    point = result.operating_point
    if point is None:
        return None
    positive, above = result.truth == 1, result.probabilities[:, 1].astype(np.float64) >= point.threshold
    return ThresholdMetrics(
        positive=1,
        threshold=point.threshold,
        sensitivity=_share(above, positive, units, interval),
        specificity=_share(~above, ~positive, units, interval),
        chosen_on=str(point),
    )


def normalized(confusion: NDArray[np.int64], by: str) -> NDArray[np.float64]:
    """A confusion matrix as shares of its rows ("true"), columns ("pred") or total ("all"); counts for "none"."""
    total = {"true": confusion.sum(axis=1, keepdims=True), "pred": confusion.sum(axis=0, keepdims=True)}
    divisor = total.get(by, confusion.sum(keepdims=True) if by == "all" else np.ones((1, 1), dtype=np.int64))
    shares: NDArray[np.float64] = np.divide(confusion, np.maximum(divisor, 1))
    return shares
