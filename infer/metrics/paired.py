"""Is one model better than another? Differences of their metrics on the same images, with intervals.

Two models err on much the same images, so the interval of a difference is far narrower than those of the two metrics
suggest: it is resampled as one.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infer.core.errors import DataError
from infer.core.text import listed
from infer.metrics.bootstrap import RESAMPLES, bootstrap, numbered
from infer.metrics.intervals import unvarying
from infer.metrics.metrics import Estimate, metric_range
from infer.metrics.point_values import LOSSES
from infer.metrics.resampled import Numbers, Weighted
from infer.metrics.result import EvaluationResult

COMPARED = (
    *("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "matthews", "kappa"),
    *("roc_auc", "average_precision", "log_loss", "brier"),
)
"""Not the calibration error: noise lengthens that of both, so that their difference has no interval worth its name."""


def in_common(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """The results on the images that all have, in the first one's order.

    Raises:
        DataError: their classes differ, they share no image, or they have one image with two truths.
    """
    first, *others = results
    for other in others:
        if [item.label for item in other.classes] != [item.label for item in first.classes]:
            one, two = (listed([str(item) for item in result.classes], 20) for result in (first, other))
            raise DataError(f"reports compare only where their classes agree: {one} in one, {two} in another")
    places = [{path: row for row, path in enumerate(result.paths)} for result in results]
    shared = [path for path in first.paths if all(path in place for place in places)]
    if not shared:
        raise DataError("these reports share no image, so they do not compare; evaluate the models on the same images")
    taken = [
        _rows(result, np.array([place[path] for path in shared])) for result, place in zip(results, places, strict=True)
    ]
    for other in taken[1:]:
        torn = np.flatnonzero(other.truth != taken[0].truth)
        if len(torn):
            raise DataError(
                f"{len(torn)} images have another truth in another report: {listed([shared[row] for row in torn])}; "
                "evaluate the models on the same labels"
            )
    groups = _merged_groups(taken)
    return [replace(result, groups=groups) for result in taken]


def _merged_groups(results: Sequence[EvaluationResult]) -> tuple[str, ...]:
    """The patient of each image, which any of the results may know. Raises DataError where two know different ones."""
    known = [result.groups for result in results if result.groups]
    merged = tuple(next((name for name in names if name), "") for names in zip(*known, strict=True))
    for names in known:
        if any(name not in ("", patient) for name, patient in zip(names, merged, strict=True)):
            raise DataError("these reports know different patients for one image; evaluate on the same table")
    return merged


def differences(first: EvaluationResult, second: EvaluationResult, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """The metrics of COMPARED, those of `second` less those of `first`, with 95% intervals from paired resamples.

    BCa intervals, by patient where patients are known; undefined where either metric is.

    Args:
        first: a result.
        second: of the same images in the same order.
        resamples: how many.
    """
    sides = [
        (Weighted.of(item.probabilities, item.truth, item.ordered), item.predicted == item.truth)
        for item in (first, second)
    ]

    def less(weights: Numbers) -> dict[str, Numbers]:
        one, two = (_measure(weighted, right, weights) for weighted, right in sides)
        return {name: two[name] - one[name] for name in COMPARED if name in one and name in two}

    units = numbered(first.groups, len(first.truth))
    whole = {name: float(values[0]) for name, values in less(np.ones((1, len(units)))).items()}
    intervals = bootstrap(less, units, resamples)
    count = int(units.max()) + 1
    return {
        name: _estimate(value, intervals[name], count, metric_range(name, first.probabilities.shape[1]))
        for name, value in whole.items()
    }


def verdict(name: str, difference: Estimate) -> int:
    """1 where the interval says that the second is better, -1 that the first is, 0 that neither is shown to be."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return 0
    return (1 if difference.low > 0 else -1) * (-1 if name in LOSSES else 1)


def _measure(weighted: Weighted, right: NDArray[np.bool_], weights: Numbers) -> dict[str, Numbers]:
    return {**weighted.measure(weights), "accuracy": weights @ right / weights.sum(axis=1)}


def _estimate(value: float, interval: tuple[float, float] | None, units: int, between: tuple[float, float]) -> Estimate:
    if np.isnan(value):
        return Estimate(None)
    widest = between[1] - between[0]
    return Estimate(value, *(interval or unvarying(value, units, -widest, widest)))


def _rows(result: EvaluationResult, rows: NDArray[np.int64]) -> EvaluationResult:
    return replace(
        result,
        paths=tuple(result.paths[row] for row in rows),
        truth=result.truth[rows],
        probabilities=result.probabilities[rows],
        groups=tuple(result.groups[row] for row in rows) if result.groups else (),
        files=tuple(result.files[row] for row in rows) if result.files else (),
    )
