"""Bootstrap intervals: resample patients, or images, and see how much a metric varies."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Statistics = Callable[[Numbers], dict[str, Numbers]]
"""Weights of n images in R resamples, [R, n], to each statistic's values by name, [R]; NaN where it is undefined.

A statistic that is a sum of distances is given as its signed parts, [R, B]: it is the sum of their absolute values.
"""

RESAMPLES = 2000
SEED = 20_130_914
JACKKNIFE_PARTS = 200
"""The jackknife leaves out at most this many parts in turn: a unit each or, where there are more, several units."""
LEAST_DEFINED = 0.1
"""The share of the resamples in which a statistic must be defined for an interval."""
AT_ONCE = 2**16
"""Weights that are worked on at once: they fit into a processor's cache."""
SAME = 1e-12
"""Values that are closer than this are one value, added up in another order."""


def numbered(groups: Sequence[str], count: int) -> NDArray[np.int64]:
    """The unit of each of `count` images, [n] from 0 to U - 1: its group, or the image itself where that is ""."""
    names: list[object] = [group or index for index, group in enumerate(groups or [""] * count)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def bootstrap(
    statistics: Statistics,
    units: NDArray[np.int64],
    resamples: int = RESAMPLES,
    expand: Mapping[str, int] | None = None,
    at_once: int | None = None,
) -> dict[str, tuple[float, float] | None]:
    """The 95% interval of every statistic from resampled units; None where all resamples give the same value.

    BCa intervals (Efron 1987, https://doi.org/10.1080/01621459.1987.10478410), which correct for the bias of a
    statistic and for a spread that changes with it, expanded where units are few (Hesterberg 2015,
    https://doi.org/10.1080/00031305.2015.1089789); for sums of distances, `distance_interval`. The same units always
    give the same intervals.

    Args:
        statistics: what to measure.
        units: [n] the unit of each image, from 0 to U - 1: resampling draws an image's unit, with all of its images.
        resamples: number of resamples.
        expand: for statistics that compare two sides, the number of units on the rarer side, by which their intervals
            are expanded; that of all units for the others.
        at_once: weights to work on at once, by default AT_ONCE.
    """
    count = int(units.max()) + 1
    estimates = statistics(np.ones((1, len(units))))
    if count == 1:
        return dict.fromkeys(estimates)
    at_once = at_once or AT_ONCE
    drawn = _gathered(statistics, _resampled(units, count, resamples, at_once))
    left_out = _gathered(statistics, _left_out(units, count, at_once))
    intervals: dict[str, tuple[float, float] | None] = {}
    for name, (estimate,) in estimates.items():
        reach = expanded_normal(max(2, min(count, (expand or {}).get(name, count))))
        values = drawn[name][~np.isnan(drawn[name]).reshape(resamples, -1).any(axis=1)]
        few = len(values) < LEAST_DEFINED * resamples
        if np.isnan(estimate).any() or few or np.ptp(values, axis=0).max() < SAME:
            intervals[name] = None
        elif values.ndim == 2:
            intervals[name] = distance_interval(values, estimate, reach)
        else:
            intervals[name] = bca(values, float(estimate), left_out[name], reach)
    return intervals


def bca(values: Numbers, estimate: float, left_out: Numbers, reach: float) -> tuple[float, float]:
    """The bias-corrected and accelerated interval, widened to include the estimate.

    Args:
        values: [R] the statistic of each resample.
        estimate: the statistic of all units.
        left_out: [J] the statistic with one part left out in turn; NaN where it is undefined.
        reach: how many standard deviations the interval reaches to either side, 1.96 for 95%.
    """
    from scipy.special import ndtr, ndtri

    below = np.mean(values < estimate - SAME) + np.mean(np.abs(values - estimate) <= SAME) / 2  # ties: the mid-rank
    bias = ndtri(np.clip(below, 1 / (len(values) + 1), len(values) / (len(values) + 1)))
    pull = np.nanmean(left_out) - left_out[~np.isnan(left_out)] if not np.isnan(left_out).all() else np.zeros(1)
    spread = (pull**2).sum()
    acceleration = (pull**3).sum() / (6 * spread**1.5) if spread > SAME**2 else 0.0
    ends = bias + np.array([-reach, reach])
    shares = ndtr(bias + ends / np.maximum(1 - acceleration * ends, 0.1))  # beyond 0.1 the correction has no meaning
    low, high = np.quantile(values, shares)
    return min(float(low), estimate), max(float(high), estimate)


def distance_interval(values: Numbers, estimate: Numbers, reach: float) -> tuple[float, float]:
    """The interval of a sum of distances, widened to include the estimate.

    Noise makes distances longer on average, and every resample adds noise of its own, so that BCa's correction fails.
    The upper end is the estimate, less its bias in the resamples, plus `reach` standard deviations. The lower end
    allows that parts within two standard errors of 0 are 0: it is that of the basic interval for resamples whose
    deviations are added to the remaining parts. bench/coverage.py shows how often the interval holds the truth.

    Args:
        values: [R, B] the signed parts of each resample.
        estimate: [B] those of all units.
        reach: as for `bca`.
    """
    from scipy.special import ndtr

    size, sizes = float(np.abs(estimate).sum()), np.abs(values).sum(axis=1)
    high = 2 * size - float(sizes.mean()) + reach * float(sizes.std())
    kept = np.where(np.abs(estimate) > 2 * values.std(axis=0), estimate, 0)
    excess = np.abs(kept + values - estimate).sum(axis=1) - np.abs(kept).sum()
    low = size - float(np.quantile(excess, ndtr(reach)))
    return max(0.0, min(low, size)), max(high, size)


def expanded_normal(units: int) -> float:
    """The quantile that replaces 1.96 for few units: Student's, for a standard deviation divided by n - 1, not by n."""
    from scipy.special import stdtrit

    return math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, 0.975))


def _gathered(statistics: Statistics, blocks: Iterator[Numbers]) -> dict[str, Numbers]:
    parts = [statistics(block) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _resampled(units: NDArray[np.int64], count: int, resamples: int, at_once: int) -> Iterator[Numbers]:
    """How often each image is drawn, [R, n] in blocks, when `count` units are drawn with replacement."""
    random = np.random.default_rng(SEED)
    for rows in _blocks(resamples, len(units), at_once):
        drawn = random.integers(0, count, (len(rows), count)) + count * np.arange(len(rows))[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        yield times if count == len(units) else times.take(units, axis=1)  # then units are the images in their order


def _left_out(units: NDArray[np.int64], count: int, at_once: int) -> Iterator[Numbers]:
    """Weights of 1, and of 0 for one part of the units in turn, [J, n] in blocks."""
    parts = min(count, JACKKNIFE_PARTS)
    part = (np.random.default_rng(SEED).permutation(count) % parts)[units]
    for rows in _blocks(parts, len(units), at_once):
        yield (part != np.array(rows)[:, None]).astype(np.float64)


def _blocks(rows: int, images: int, at_once: int) -> Iterator[range]:
    size = max(1, at_once // images)
    return (range(start, min(start + size, rows)) for start in range(0, rows, size))
