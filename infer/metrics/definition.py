"""What defines a metric: how it is computed, what its interval rests on, and how it is shown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from infer.metrics.draws import Draws
from infer.metrics.losses import Numbers
from infer.metrics.point_values import Sample
from infer.metrics.result import EvaluationResult

Mask = NDArray[np.bool_]


class Basis(Enum):
    """Which units (patients, or images) limit what an interval can know."""

    ALL = "all of them"
    RAREST_CLASS = "those of the rarest class that the statistic looks at"
    RARER_SIDE = "the same; and as the statistic compares two sides, its interval is expanded where one has few units"


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of images. Its interval is Wilson's."""

    masks: Callable[[Sample, int], tuple[Mask, Mask]]
    """For class k: which images are hits [n], and which images count [n]. Metrics of all classes together ignore k."""


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """Any other number. Its interval is bootstrapped."""

    value: Callable[[Sample], float | Numbers]
    """Its value for a sample, or [K] values for a metric of each class; NaN where it is undefined."""
    resampled: Callable[[Draws], Numbers]
    """Its values in R resamples: [R], [R, K] for a metric of each class, or [R, B] for the signed parts of a sum of
    distances."""
    basis: Basis
    mean_of_classes: bool = False
    """Whether it is a mean over classes, whose interval allows for classes of which all images are found, or none."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric."""

    key: str
    """Its key in report.json."""
    name: str
    """Its name in tables."""
    description: str | Callable[[EvaluationResult], str] = ""
    """A few words beside the value, for a metric of all classes together."""
    computation: Share | Statistic
    by_class: bool = False
    """Whether each class has a value of its own."""
    limits: Callable[[int], tuple[float, float]] = lambda classes: (0.0, 1.0)
    """The lowest and the highest value that it can have, by the number of classes."""
    higher_is_better: bool = True
    percent: bool = False
    """Whether it is shown in percent, in the summary."""
    of_probabilities: bool = False
    """Whether it looks at probabilities, not only at the predicted classes; tables show these last."""
    grades_only: bool = False
    """Whether it is defined only for classes that are grades."""
    compared: bool = True
    """Whether `lab compare` gives its difference between models; metrics of all classes together only."""

    def describe(self, result: EvaluationResult) -> str:
        return self.description if isinstance(self.description, str) else self.description(result)

    def names(self, classes: int) -> list[str]:
        """Its key, or `key k` for each class k, under which its values are collected."""
        return [f"{self.key} {k}" for k in range(classes)] if self.by_class else [self.key]


def statistics_of(metrics: Sequence[Metric]) -> Iterator[tuple[Metric, Statistic]]:
    """The metrics that are statistics, each with its computation."""
    return ((metric, metric.computation) for metric in metrics if isinstance(metric.computation, Statistic))


def point_values(metrics: Sequence[Metric], sample: Sample) -> dict[str, float | None]:
    """The value of each statistic by name, `f1 3` for class 3; None where it is undefined."""
    named: dict[str, float | None] = {}
    for metric, statistic in statistics_of(metrics):
        values, names = np.atleast_1d(statistic.value(sample)), metric.names(sample.classes)
        named |= {name: None if np.isnan(v) else float(v) for name, v in zip(names, values, strict=True)}
    return named


def resampled_values(metrics: Sequence[Metric], draws: Draws) -> dict[str, Numbers]:
    """The values of each statistic by the same names, [R] or [R, B] each; NaN where they are undefined."""
    named: dict[str, Numbers] = {}
    for metric, statistic in statistics_of(metrics):
        values, names = statistic.resampled(draws), metric.names(draws.predictions.classes)
        named |= zip(names, values.T if metric.by_class else [values], strict=True)
    return named


def resampled_share(share: Share, sample: Sample, draws: Draws) -> Numbers:
    """A share of all classes together for each resample, [R]."""
    hits, among = share.masks(sample, 0)
    shares: Numbers = draws.weights @ (hits & among) / (draws.weights @ among)
    return shares
