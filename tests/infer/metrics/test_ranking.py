"""Both ways of ranking classes under resamples give the same numbers, bit for bit."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import infer.metrics.ranking
from infer.metrics.ranking import Ranking, RareRankings, running_sums


def case(digits: int, classes: int = 6, images: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(digits)
    probabilities = np.round(rng.dirichlet(np.ones(classes), images), digits).astype(np.float32)
    truth = rng.choice(classes - 1, images, p=np.array([100, 50, 30, 18, 2])[: classes - 1] / 200)
    return probabilities, truth, rng.poisson(1, (30, images)).astype(np.float64)


@pytest.mark.parametrize("digits", [1, 8])
def test_matrix_products_and_running_sums_agree_bit_for_bit(digits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, truth, weights = case(digits)
    rare = RareRankings.of(probabilities, truth, range(6))
    for block in (infer.metrics.ranking.BLOCK, 200 * 40):  # all classes at once; a few at a time
        monkeypatch.setattr(infer.metrics.ranking, "BLOCK", block)
        for k, pair in enumerate(rare.measure(weights)):
            expected = Ranking.of(probabilities[:, k], truth == k).measure(weights)
            np.testing.assert_array_equal(pair, expected)


def test_totals_too_large_for_float32_are_counted_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, truth, weights = case(1)
    monkeypatch.setattr(infer.metrics.ranking, "EXACT", 10)
    for k, pair in zip((4, 2), RareRankings.of(probabilities, truth, [4, 2]).measure(weights), strict=True):
        np.testing.assert_array_equal(pair, Ranking.of(probabilities[:, k], truth == k).measure(weights))


def test_they_are_scikit_learns_and_undefined_for_an_absent_class() -> None:
    probabilities, truth, _ = case(1)
    (auc,), (precision,) = Ranking.of(probabilities[:, 1], truth == 1).measure(np.ones((1, 200)))
    assert auc == pytest.approx(roc_auc_score(truth == 1, probabilities[:, 1]))
    assert precision == pytest.approx(average_precision_score(truth == 1, probabilities[:, 1]))
    ((absent, nothing),) = RareRankings.of(probabilities, truth, [5]).measure(np.ones((1, 200)))
    assert np.isnan([absent, nothing]).all()


def test_running_sums_begin_with_nothing() -> None:
    assert running_sums(np.array([[1.0, 2, 3]])).tolist() == [[0, 1, 3, 6]]
