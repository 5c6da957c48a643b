"""Metrics of weighted images are those of images that are repeated so often, or left out."""

import numpy as np
import pytest

from infer.metrics import kinds
from infer.metrics.definition import point_values, resampled_values
from infer.metrics.draws import Draws, SortedPredictions
from infer.metrics.point_values import Sample, softmax


def case(classes: int, digits: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = np.round(softmax(rng.normal(0, 1, (50, classes))), digits).astype(np.float32)
    return probabilities, rng.integers(0, classes, 50)


def measured(probabilities: np.ndarray, truth: np.ndarray, weights: np.ndarray, ordered: bool) -> dict[str, np.ndarray]:
    draws = Draws(SortedPredictions.of(probabilities, truth), weights.astype(np.float64))
    return resampled_values([*kinds.overall(ordered), *kinds.by_class()], draws)


@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("classes", [2, 3, 5, 40])
def test_weights_count_as_repetitions(classes: int, digits: int) -> None:
    probabilities, truth = case(classes, digits, classes)
    weights = np.random.default_rng(9).integers(0, 4, (12, 50))
    weights[0] = 1
    found = measured(probabilities, truth, weights, ordered=True)
    found["calibration_error"] = np.abs(found["calibration_error"]).sum(axis=1)
    for row, times in enumerate(weights):
        chosen = np.repeat(np.arange(50), times)
        metrics = [*kinds.overall(ordered=True), *kinds.by_class()]
        expected = point_values(metrics, Sample(probabilities[chosen], truth[chosen]))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if name in ("balanced_accuracy", "macro_f1") and set(truth[chosen]) < set(truth):
                value = None  # the mean would leave out the class that lost its images
            resampled = found[name][row]
            assert (None if np.isnan(resampled) else resampled) == (None if value is None else pytest.approx(value)), (
                name
            )


def test_metrics_that_need_two_classes_are_undefined_where_weights_leave_one() -> None:
    probabilities, truth = case(2, 8, 1)
    found = measured(probabilities, truth, truth[None] == 1, ordered=False)
    for name in ("roc_auc", "roc_auc 0", "average_precision", "average_precision 1", "matthews"):
        assert np.isnan(found[name][0]), name
    assert np.isnan(found["balanced_accuracy"][0])  # not the recall of the other class alone
    assert np.isnan(found["macro_f1"][0])
    assert "kappa" not in found
