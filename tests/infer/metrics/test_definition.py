"""Metrics are evaluated by name, those of each class under a name for each."""

import numpy as np

from infer.metrics.definition import (
    Basis,
    Metric,
    Share,
    Statistic,
    point_values,
    resampled_share,
    resampled_values,
    statistics_of,
)
from infer.metrics.draws import Draws, SortedPredictions
from infer.metrics.point_values import Sample

OVERALL = Statistic(value=lambda sample: np.nan, resampled=lambda draws: draws.total, basis=Basis.ALL)
EACH = Statistic(value=lambda sample: sample.class_f1, resampled=lambda draws: draws.support, basis=Basis.ALL)
RIGHT = Share(masks=lambda sample, _: (sample.predicted == sample.truth, sample.truth != 2))
METRICS = (
    Metric(key="a", name="A", computation=OVERALL),
    Metric(key="b", name="B", computation=EACH, by_class=True),
    Metric(key="c", name="C", computation=RIGHT),
)
TRUTH = np.array([0, 0, 1, 2])
PROBABILITIES = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]


def test_statistics_have_a_value_for_each_name_and_none_where_they_are_undefined() -> None:
    assert [metric.key for metric, _ in statistics_of(METRICS)] == ["a", "b"]
    values = point_values(METRICS, Sample(PROBABILITIES, TRUTH))
    assert values == {"a": None, "b 0": 2 / 3, "b 1": 2 / 3, "b 2": 1}


def test_resampled_values_have_the_same_names() -> None:
    weights = np.array([[1.0, 1, 1, 1], [0, 3, 1, 0]])
    draws = Draws(SortedPredictions.of(PROBABILITIES, TRUTH), weights)
    values = resampled_values(METRICS, draws)
    assert {name: value.tolist() for name, value in values.items()} == {
        "a": [4, 4],
        "b 0": [2, 3],
        "b 1": [1, 1],
        "b 2": [1, 0],
    }
    assert resampled_share(RIGHT, Sample(PROBABILITIES, TRUTH), draws).tolist() == [2 / 3, 1 / 4]
