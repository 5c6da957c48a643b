"""Intervals from resampling: against scipy's, and against what they are for, holding the truth 95 times in 100."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import norm

import infer.metrics.bootstrap
from infer.metrics.bootstrap import bootstrap, numbered
from infer.metrics.draws import Draws, SortedPredictions


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_the_interval_of_a_skewed_mean_is_scipys_bca() -> None:
    values = np.random.default_rng(0).exponential(1, 400)
    low, high = bootstrap(mean_of(values), np.arange(400), resamples=9000)["mean"]
    reference = scipy_bootstrap((values,), np.mean, n_resamples=9000, rng=np.random.default_rng(1)).confidence_interval
    width = reference.high - reference.low
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.04 * width)
    assert high - values.mean() > 1.1 * (values.mean() - low)  # as far as the skew asks for


def test_images_of_a_unit_are_drawn_together() -> None:
    units = np.repeat(np.arange(40), 5)
    seen: list[np.ndarray] = []

    def record(weights: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(weights)
        return {"sum": weights.sum(axis=1)}

    bootstrap(record, units, resamples=50)
    ones, drawn, left_out = seen
    assert (ones == 1).all()
    assert drawn.shape == (50, 200)
    for weights in (drawn, left_out):
        assert (weights.reshape(-1, 40, 5) == weights[:, ::5, None]).all()
    assert (drawn.sum(axis=1) == 200).all()
    assert (left_out.sum(axis=1) == 195).all()
    assert (left_out.sum(axis=0) == 39).all()


def test_the_interval_does_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(0, 1, 300)
    expected = bootstrap(mean_of(values), np.arange(300))
    monkeypatch.setattr(infer.metrics.bootstrap, "AT_ONCE", 1000)
    assert bootstrap(mean_of(values), np.arange(300))["mean"] == pytest.approx(expected["mean"], abs=1e-12)


def test_a_constant_statistic_and_a_single_unit_have_no_interval() -> None:
    assert bootstrap(mean_of(np.ones(20)), np.arange(20)) == {"mean": None}
    assert bootstrap(mean_of(np.arange(3.0)), np.zeros(3, dtype=np.int64)) == {"mean": None}


def test_few_units_widen_the_interval() -> None:
    values = np.random.default_rng(0).normal(0, 1, 4)
    many = np.tile(values, 50)
    low, high = bootstrap(mean_of(values), np.arange(4))["mean"]
    assert high - low > 1.2 * 2 * 1.96 * values.std() / 2
    low, high = bootstrap(mean_of(many), np.arange(200))["mean"]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 200**0.5, rel=0.05)


@pytest.mark.parametrize("true", [0.0, 0.05, 0.3])
def test_the_interval_of_a_sum_of_distances_holds_the_true_sum_although_noise_makes_distances_longer(
    true: float,
) -> None:
    held = []
    for seed in range(200):
        values = np.random.default_rng(seed).normal(np.linspace(0, true / 5, 10), 0.2, (100, 10))

        def parts(weights: np.ndarray, values: np.ndarray = values) -> dict[str, np.ndarray]:
            return {"distance": np.einsum("rn,nb->rb", weights, values) / 100}

        low, high = bootstrap(parts, np.arange(100), resamples=300)["distance"]
        assert 0 <= low <= np.abs(values.mean(axis=0)).sum() <= high
        held.append(low <= true <= high)
    assert np.mean(held) > 0.9


def test_an_image_without_a_group_is_a_unit_of_its_own() -> None:
    assert numbered(("b", "", "b", "", "a"), 5).tolist() == [0, 1, 0, 2, 3]
    assert numbered((), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("per_patient", [1, 6])
def test_the_interval_of_the_auc_holds_the_true_one_about_95_times_in_100(per_patient: int) -> None:
    truth = np.tile([0, 0, 1], 100)
    units = np.arange(300) // per_patient
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        shared = rng.normal(0, 0.6 if per_patient > 1 else 0, 300)[units]
        scores = truth + np.sqrt(1 - (0.36 if per_patient > 1 else 0)) * rng.normal(0, 1, 300) + shared
        second = norm.cdf(scores)
        predictions = SortedPredictions.of(np.stack([1 - second, second], axis=1), truth)
        auc = bootstrap(lambda w, it=predictions: {"auc": Draws(it, w).class_ranking[0][:, 1]}, units, resamples=400)
        low, high = auc["auc"]
        held.append(low <= norm.cdf(1 / np.sqrt(2)) <= high)
    assert 0.91 < np.mean(held) < 0.98
