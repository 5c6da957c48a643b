"""Is one model better than another? Differences between their metrics on the same images, with intervals.

Two models err on much the same images, so the interval of a difference is far narrower than those of the two metrics
suggest: each resample is of both.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infer.core.errors import DataError
from infer.core.text import listed
from infer.metrics import kinds
from infer.metrics.bootstrap import RESAMPLES, bootstrap, numbered
from infer.metrics.definition import Metric, Share, resampled_share, resampled_values
from infer.metrics.draws import Draws, SortedPredictions
from infer.metrics.intervals import unvarying
from infer.metrics.losses import Numbers
from infer.metrics.metrics import Estimate
from infer.metrics.point_values import Sample
from infer.metrics.result import EvaluationResult


def compared(ordered: bool) -> list[Metric]:
    """The metrics that models are compared by, in the order of tables; `ordered`: whether classes are grades."""
    return [metric for metric in kinds.shown_order(kinds.overall(ordered)) if metric.compared]


def in_common(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """The results on the images that all have, in the first one's order.

    Raises:
        DataError: their classes differ, they share no image, or an image has different truths.
    """
    first, *others = results
    for other in others:
        if [item.label for item in other.classes] != [item.label for item in first.classes]:
            mine, theirs = (listed([str(item) for item in result.classes], 20) for result in (first, other))
            raise DataError(
                f"these reports have different classes, so they cannot be compared: {mine} in the first, {theirs} in "
                "another; compare models of the same classes"
            )
    rows = [{path: row for row, path in enumerate(result.paths)} for result in results]
    shared = [path for path in first.paths if all(path in known for known in rows)]
    if not shared:
        raise DataError(
            "these reports share no image, so they cannot be compared; evaluate the models on the same images"
        )
    chosen = [
        _take(result, np.array([known[path] for path in shared])) for result, known in zip(results, rows, strict=True)
    ]
    for other in chosen[1:]:
        differ = np.flatnonzero(other.truth != chosen[0].truth)
        if len(differ):
            raise DataError(
                f"these reports disagree on the true class of {listed([shared[row] for row in differ])}; evaluate the "
                "models on the same labels"
            )
    groups = _merged_groups(chosen)
    return [replace(result, groups=groups) for result in chosen]


def _merged_groups(results: Sequence[EvaluationResult]) -> tuple[str, ...]:
    """The patient of each image, from any result that knows it. Raises DataError where two results disagree."""
    known = [result.groups for result in results if result.groups]
    merged = tuple(next((name for name in names if name), "") for names in zip(*known, strict=True))
    for names in known:
        if any(name not in ("", patient) for name, patient in zip(names, merged, strict=True)):
            raise DataError("these reports disagree on the patient of an image; evaluate the models on the same table")
    return merged


def differences(first: EvaluationResult, second: EvaluationResult, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """The compared metrics of `second` minus those of `first`, by key, with 95% intervals from paired resamples.

    BCa intervals, by patient where patients are known; undefined where either metric is.

    Args:
        first: a result.
        second: a result on the same images in the same order.
        resamples: number of resamples.
    """
    metrics = compared(first.ordered and second.ordered)
    sides = [
        (sample, SortedPredictions.of(sample.probabilities, sample.truth))
        for sample in (Sample(item.probabilities, item.truth) for item in (first, second))
    ]

    def difference(weights: Numbers) -> dict[str, Numbers]:
        before, after = (_resampled(metrics, sample, Draws(predictions, weights)) for sample, predictions in sides)
        return {key: after[key] - values for key, values in before.items()}

    units = numbered(first.groups, len(first.truth))
    values = {key: float(item[0]) for key, item in difference(np.ones((1, len(units)))).items()}
    intervals = bootstrap(difference, units, resamples, at_once=sides[0][1].at_once)
    count, classes = int(units.max()) + 1, first.probabilities.shape[1]
    return {
        metric.key: _estimate(values[metric.key], intervals[metric.key], count, metric.limits(classes))
        for metric in metrics
    }


def verdict(metric: Metric, difference: Estimate) -> int:
    """1 where the interval shows that the second model is better, -1 that the first is, 0 where it shows neither."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return 0
    return (1 if difference.low > 0 else -1) * (1 if metric.higher_is_better else -1)


def _resampled(metrics: Sequence[Metric], sample: Sample, draws: Draws) -> dict[str, Numbers]:
    """Each metric for each resample, [R], by key."""
    values = resampled_values(metrics, draws)
    shares = ((metric.key, metric.computation) for metric in metrics if isinstance(metric.computation, Share))
    return values | {key: resampled_share(share, sample, draws) for key, share in shares}


def _estimate(value: float, interval: tuple[float, float] | None, units: int, limits: tuple[float, float]) -> Estimate:
    if np.isnan(value):
        return Estimate(None)
    widest = limits[1] - limits[0]
    return Estimate(value, *(interval or unvarying(value, units, -widest, widest)))


def _take(result: EvaluationResult, rows: NDArray[np.int64]) -> EvaluationResult:
    return replace(
        result,
        paths=tuple(result.paths[row] for row in rows),
        truth=result.truth[rows],
        probabilities=result.probabilities[rows],
        groups=tuple(result.groups[row] for row in rows) if result.groups else (),
        files=tuple(result.files[row] for row in rows) if result.files else (),
    )
