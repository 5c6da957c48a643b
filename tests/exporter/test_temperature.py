import math

import numpy as np
import pytest

from exporter.temperature import MIN_IMAGES, fit_temperature, log_loss


def drawn(temperature: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and truths that are drawn with the probabilities softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, 4)).astype(np.float32)
    noise = -np.log(-np.log(rng.random(logits.shape)))
    return logits, (logits / temperature + noise).argmax(axis=1)  # Gumbel's trick


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_truth_was_drawn_with_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_neighbour_is_likelier() -> None:
    logits, truth = drawn(1.7, 500)
    found = fit_temperature(logits, truth)
    assert found is not None
    best = log_loss(logits / found, truth)
    assert all(log_loss(logits / (found * factor), truth) > best for factor in (0.97, 1.03))


def test_the_log_loss_is_its_definition() -> None:
    logits, truth = drawn(1.0, 50)
    powers = np.exp(logits.astype(np.float64))
    expected = np.mean([-math.log(row[k] / row.sum()) for row, k in zip(powers, truth, strict=True)])
    assert log_loss(logits, truth) == pytest.approx(expected)


@pytest.mark.parametrize("few", [0, 1, MIN_IMAGES - 1, MIN_IMAGES])
def test_a_few_mistakes_and_a_few_hits_are_needed(few: int) -> None:
    logits = np.random.default_rng(1).normal(0, 1, (200, 4)).astype(np.float32)
    best, next_best = np.argsort(-logits, axis=1).T[:2]
    for mostly, now_and_then in ((best, next_best), (next_best, best)):
        truth = mostly.copy()
        truth[:few] = now_and_then[:few]
        assert (fit_temperature(logits, truth) is not None) is (few >= MIN_IMAGES)


def test_where_every_image_is_right_or_logits_say_nothing_there_is_none() -> None:
    logits, _ = drawn(1.0, 200)
    assert fit_temperature(logits, logits.argmax(axis=1)) is None
    assert fit_temperature(logits, logits.argmin(axis=1)) is None
