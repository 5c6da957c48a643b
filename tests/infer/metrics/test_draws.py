"""The counts that metrics share are those of the images, repeated as often as they are drawn."""

import numpy as np
import pytest

import infer.metrics.draws
from infer.metrics.draws import MANY_CLASSES, ClassSums, Draws, SortedPredictions

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 4, 60)
PROBABILITIES = RNG.dirichlet(np.ones(5), 60).astype(np.float32)
WEIGHTS = RNG.integers(0, 4, (7, 60)).astype(np.float64)


def test_the_counts_of_a_resample_are_those_of_its_images() -> None:
    draws = Draws(SortedPredictions.of(PROBABILITIES, TRUTH), WEIGHTS)
    predicted = PROBABILITIES.argmax(axis=1)
    for row, times in enumerate(WEIGHTS.astype(int)):
        t, p = np.repeat(TRUTH, times), np.repeat(predicted, times)
        assert draws.total[row] == len(t)
        np.testing.assert_array_equal(draws.support[row], np.bincount(t, minlength=5))
        np.testing.assert_array_equal(draws.predicted[row], np.bincount(p, minlength=5))
        np.testing.assert_array_equal(draws.hits[row], np.bincount(t[t == p], minlength=5))
        assert draws.counts[row] @ draws.predictions.squared_errors == ((t - p) ** 2).sum()


def test_columns_are_summed_by_class_and_those_of_no_class_left_out() -> None:
    counts = np.array([[1.0, 2, 4, 8]])
    assert ClassSums.of(np.array([2, 0, 2, 1]), 4)(counts).tolist() == [[2, 8, 5, 0]]
    chosen = np.array([True, True, False, False])
    assert ClassSums.of(np.array([2, 0, 2, 1]), 4, chosen)(counts).tolist() == [[2, 0, 1, 0]]
    assert ClassSums.of(np.array([2, 0, 2, 1]), 4, ~np.ones(4, dtype=bool))(counts).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("images", "rare"), [(60, True), (2**22, False)])
def test_with_many_classes_those_with_few_images_are_ranked_by_matrix_products_unless_blocks_have_few_rows(
    images: int, rare: bool
) -> None:
    assert infer.metrics.draws._rare_limit(MANY_CLASSES, images) < 0
    assert infer.metrics.draws._rare_limit(MANY_CLASSES + 1, images) == (128 if rare else 4)


def test_a_class_is_ranked_either_way_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Draws(SortedPredictions.of(PROBABILITIES, TRUTH), WEIGHTS)
    assert len(plain.predictions.rankings) == 5
    monkeypatch.setattr(infer.metrics.draws, "_rare_limit", lambda classes, images: 12)
    mixed = Draws(SortedPredictions.of(PROBABILITIES, TRUTH), WEIGHTS)
    assert 0 < len(mixed.predictions.rankings) < 5
    for one, other in zip(plain.class_ranking, mixed.class_ranking, strict=True):
        np.testing.assert_array_equal(one, other)
