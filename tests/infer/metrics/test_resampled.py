"""Metrics of weighted images are those of images that are repeated so often, or left out."""

import numpy as np
import pytest

from infer.metrics.metrics import softmax
from infer.metrics.point_values import point_values
from infer.metrics.resampled import Weighted


def case(classes: int, digits: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = np.round(softmax(rng.normal(0, 1, (50, classes))), digits).astype(np.float32)
    return probabilities, rng.integers(0, classes, 50)


@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_weights_count_as_repetitions(classes: int, digits: int) -> None:
    probabilities, truth = case(classes, digits, classes)
    weights = np.random.default_rng(9).integers(0, 4, (12, 50))
    weights[0] = 1
    found = Weighted.of(probabilities, truth, ordered=True).measure(weights.astype(np.float64))
    found["calibration_error"] = np.abs(found["calibration_error"]).sum(axis=1)
    for row, times in enumerate(weights):
        chosen = np.repeat(np.arange(50), times)
        expected = point_values(probabilities[chosen], truth[chosen], ordered=True)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            told = found[name][row]
            assert (None if np.isnan(told) else told) == (None if value is None else pytest.approx(value)), name


def test_where_weights_leave_one_class_what_needs_two_is_undefined() -> None:
    probabilities, truth = case(2, 8, 1)
    found = Weighted.of(probabilities, truth, ordered=False).measure((truth[None] == 1).astype(np.float64))
    for name in ("roc_auc", "roc_auc 0", "average_precision", "average_precision 1", "matthews"):
        assert np.isnan(found[name][0]), name
    assert np.isnan(found["balanced_accuracy"][0])  # not the recall of the other class alone
    assert np.isnan(found["macro_f1"][0])
    assert "kappa" not in found
