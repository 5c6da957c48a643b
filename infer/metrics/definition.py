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
    """How many units (patients, or images) the interval of a statistic rests on."""

    ALL = "all images"
    RAREST_CLASS = "those of the rarest class that it looks at"
    RARER_SIDE = "the same; as it compares two sides, the interval is widened where one has few units"


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of images. Its interval is Wilson's."""

    masks: Callable[[Sample, int], tuple[Mask, Mask]]
    """For class k: which images are hits [n], among which images [n]. Metrics of all classes ignore k."""


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """Any other number. Its interval is bootstrapped."""

    value: Callable[[Sample], float | Numbers]
    """Its value for the images; [K] for a metric of each class. NaN where it is undefined."""
    resampled: Callable[[Draws], Numbers]
    """The same for each resample: [R], or [R, K] for a metric of each class. Of a sum of distances, its signed parts
    [R, B]."""
    basis: Basis
    mean_of_classes: bool = False
    """Whether it is a mean over classes, whose interval allows for classes of which all images are found, or none."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric."""

    key: str
    """In report.json."""
    name: str
    """For people."""
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
        """Its names among those of all metrics: its key, or `key k` for each class k."""
        return [f"{self.key} {k}" for k in range(classes)] if self.by_class else [self.key]


def statistics_of(metrics: Sequence[Metric]) -> Iterator[tuple[Metric, Statistic]]:
    """The metrics that are statistics, each with its computation."""
    return ((metric, metric.computation) for metric in metrics if isinstance(metric.computation, Statistic))


def point_values(metrics: Sequence[Metric], sample: Sample) -> dict[str, float | None]:
    """The value of each statistic by name, `f1 3` for class 3; None where it is undefined."""
    found: dict[str, float | None] = {}
    for metric, statistic in statistics_of(metrics):
        values, names = np.atleast_1d(statistic.value(sample)), metric.names(sample.classes)
        found |= {name: None if np.isnan(v) else float(v) for name, v in zip(names, values, strict=True)}
    return found


def resampled_values(metrics: Sequence[Metric], draws: Draws) -> dict[str, Numbers]:
    """The values of each statistic by the same names, [R] or [R, B] each; NaN where they are undefined."""
    found: dict[str, Numbers] = {}
    for metric, statistic in statistics_of(metrics):
        values, names = statistic.resampled(draws), metric.names(draws.predictions.classes)
        found |= zip(names, values.T if metric.by_class else [values], strict=True)
    return found


def resampled_share(share: Share, sample: Sample, draws: Draws) -> Numbers:
    """A share of all classes together for each resample, [R]."""
    hits, among = share.masks(sample, 0)
    shares: Numbers = draws.weights @ (hits & among) / (draws.weights @ among)
    return shares
