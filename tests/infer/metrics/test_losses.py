"""Losses and calibration bins of single images, against their definitions."""

import math

import numpy as np
import pytest

import infer.metrics.losses
from infer.metrics.losses import calibration_bins, image_losses, mean_defined


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_are_their_definitions_however_many_images_are_worked_on_at_once(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    probabilities, truth = rng.dirichlet(np.ones(classes), 10).astype(np.float32), rng.integers(0, classes, 10)
    log, brier = image_losses(probabilities, truth)
    for image in range(10):
        row = [float(value) for value in probabilities[image]]
        assert log[image] == pytest.approx(-math.log(row[truth[image]]))
        squares = sum((value - (k == truth[image])) ** 2 for k, value in enumerate(row))
        assert brier[image] == pytest.approx(squares / (2 if classes == 2 else 1))
    monkeypatch.setattr(infer.metrics.losses, "ROWS", 3)
    np.testing.assert_array_equal(image_losses(probabilities, truth), (log, brier))


def test_a_bin_holds_its_upper_end() -> None:
    probabilities = np.array([[1.0, 0], [0.6, 0.4], [0.61, 0.39]])
    confidence, bins = calibration_bins(probabilities)
    assert confidence.tolist() == [1, 0.6, 0.61]
    assert bins.tolist() == [14, 8, 9]


def test_undefined_values_are_left_out_of_a_mean() -> None:
    means = mean_defined(np.array([[1, np.nan, 3], [np.nan] * 3]))
    assert means[0] == 2
    assert np.isnan(means[1])
