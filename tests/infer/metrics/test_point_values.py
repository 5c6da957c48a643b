"""Every metric against an independent computation: by counting, by comparing pairs, by scikit-learn."""

import math
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from infer.metrics import kinds
from infer.metrics.definition import point_values
from infer.metrics.losses import BINS
from infer.metrics.point_values import Sample, calibration_error, softmax

CASES = {
    "two classes": (2, 2, None),
    "five classes": (5, 5, None),
    "absent classes": (5, 3, None),
    "one class": (3, 1, None),
    "ties": (3, 3, 1),
}


def case(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [40, K] and truth; with ties, probabilities are rounded to a digit and most of them recur."""
    classes, present, digits = CASES[name]
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 1, (40, classes)))
    if digits:
        probabilities = np.round(probabilities, digits).astype(np.float32)
    return probabilities, rng.integers(0, present, 40)


def values_of(probabilities: np.ndarray, truth: np.ndarray, ordered: bool) -> dict[str, float | None]:
    return point_values([*kinds.overall(ordered), *kinds.by_class()], Sample(probabilities, truth))


def by_counting(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The metrics in plain Python, one image after the other."""
    n, classes = probabilities.shape
    predicted = [max(range(classes), key=lambda k: row[k]) for row in probabilities]
    pairs = list(zip(truth.tolist(), predicted, strict=True))
    found: dict[str, float] = {}
    recalls, f1s = [], []
    for k in range(classes):
        hits, support, taken = pairs.count((k, k)), truth.tolist().count(k), predicted.count(k)
        f1 = 2 * hits / (support + taken) if support + taken else math.nan
        found |= {f"f1 {k}": f1, f"roc_auc {k}": auc(probabilities[:, k], truth == k)}
        found[f"average_precision {k}"] = average_precision(probabilities[:, k], truth == k)
        recalls += [hits / support] if support else []
        f1s += [(f1, support)] if support + taken else []
    found["balanced_accuracy"] = sum(recalls) / len(recalls)
    found["macro_f1"] = sum(f1 for f1, _ in f1s) / len(f1s)
    found["weighted_f1"] = sum(f1 * support for f1, support in f1s) / n
    for name in ("roc_auc", "average_precision"):
        values = [found[f"{name} {k}"] for k in range(classes) if not math.isnan(found[f"{name} {k}"])]
        found[name] = found[f"{name} 1"] if classes == 2 else sum(values) / len(values) if values else math.nan
    found["matthews"] = matthews(pairs, classes)
    found["kappa"] = kappa(pairs)
    return found


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are ranked rightly, ties as a half."""
    pairs = [(a > b) + (a == b) / 2 for a, b in product(scores[positive], scores[~positive])]
    return sum(pairs) / len(pairs) if pairs else math.nan


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    if positive.all() or not positive.any():
        return math.nan
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        reached = scores >= threshold
        recall = (reached & positive).sum() / positive.sum()
        total += (recall - before) * (reached & positive).sum() / reached.sum()
        before = recall
    return float(total)


def matthews(pairs: list[tuple[int, int]], classes: int) -> float:
    """The correlation of the indicators of truth and prediction, summed over classes (Gorodkin's definition)."""
    sides = [np.array([[pair[side] == k for k in range(classes)] for pair in pairs], dtype=float) for side in (0, 1)]
    truth, predicted = (side - side.mean(axis=0) for side in sides)
    if not (truth**2).sum():
        return math.nan
    spread = (truth**2).sum() * (predicted**2).sum()
    return float((truth * predicted).sum() / math.sqrt(spread)) if spread else 0.0


def kappa(pairs: list[tuple[int, int]]) -> float:
    seen = sum((t - p) ** 2 for t, p in pairs) / len(pairs)
    chance = sum((t - p) ** 2 for (t, _), (_, p) in product(pairs, pairs)) / len(pairs) ** 2
    return 1 - seen / chance if chance else math.nan


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CASES)
def test_each_metric_is_what_counting_gives(name: str, seed: int) -> None:
    probabilities, truth = case(name, seed)
    values = values_of(probabilities, truth, ordered=True)
    for metric, expected in by_counting(probabilities, truth).items():
        assert values[metric] == (None if math.isnan(expected) else pytest.approx(expected)), metric


def test_perfect_predictions_have_perfect_scores() -> None:
    truth = np.array([0, 1, 2, 2, 1])
    values = values_of(np.eye(3, dtype=np.float32)[truth], truth, ordered=True)
    for name, value in values.items():
        assert value == pytest.approx(0 if name in ("log_loss", "brier", "calibration_error") else 1, abs=1e-9), name


def test_predicting_one_class_always_has_no_correlation_and_a_single_class_has_no_kappa() -> None:
    flat = np.eye(2, dtype=np.float32)[[0, 0, 0, 0]]
    assert values_of(flat, np.array([0, 0, 1, 1]), ordered=True)["matthews"] == 0
    alone = values_of(flat, np.zeros(4, dtype=np.int64), ordered=True)
    assert (alone["matthews"], alone["kappa"], alone["roc_auc"]) == (None, None, None)


@pytest.mark.parametrize("classes", [2, 4])
def test_log_loss_and_brier_score_are_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(classes)
    probabilities, truth = softmax(rng.normal(0, 8, (200, classes))), rng.integers(0, classes, 200)
    probabilities[0] = np.eye(classes)[(truth[0] + 1) % classes]  # certain, and wrong
    values, labels = values_of(probabilities, truth, ordered=False), list(range(classes))
    wide = probabilities.astype(np.float64)
    wide /= wide.sum(axis=1, keepdims=True)
    assert values["log_loss"] == pytest.approx(log_loss(truth, wide, labels=labels), rel=1e-6)
    if classes == 2:
        assert values["brier"] == pytest.approx(brier_score_loss(truth, wide[:, 1]), rel=1e-5)
    else:
        assert values["brier"] == pytest.approx(((wide - np.eye(classes)[truth]) ** 2).sum() / 200, rel=1e-5)


def test_the_calibration_error_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.5, 0.5, 0.5], 500).astype(np.float32)
    truth = rng.integers(0, 3, 500)
    expected = 0.0
    for k in range(BINS):
        rows = [i for i in range(500) if k / BINS < float(probabilities[i].max()) <= (k + 1) / BINS]
        if rows:
            right = np.mean([probabilities[i].argmax() == truth[i] for i in rows])
            expected += len(rows) / 500 * abs(right - np.mean([float(probabilities[i].max()) for i in rows]))
    assert calibration_error(probabilities, truth) == pytest.approx(expected, abs=1e-6)


def test_the_calibration_error_is_zero_where_confidence_equals_accuracy_and_large_for_overconfidence() -> None:
    honest = np.tile(np.float32([0.75, 0.25]), (100, 1))
    truth = np.array([0] * 75 + [1] * 25)
    assert calibration_error(honest, truth) == pytest.approx(0, abs=1e-6)
    assert calibration_error(np.tile(np.float32([1, 0]), (100, 1)), truth) == pytest.approx(0.25)
    assert calibration_error(np.eye(2, dtype=np.float32)[truth], truth) == 0
