"""Every metric against its definition, counted by hand from the confusion matrix."""

from dataclasses import replace

import numpy as np
import pytest

from infer.card import ClassName
from infer.metrics import BINS, EvaluationResult, calibration_error, measure, normalized, softmax

NAMES = tuple(ClassName(str(k), str(k)) for k in range(5))


def result(truth: list[int], predicted: list[int], classes: int, ordered: bool = False) -> EvaluationResult:
    return EvaluationResult(
        title="made by hand",
        classes=NAMES[:classes],
        ordered=ordered,
        paths=tuple(map(str, range(len(truth)))),
        truth=np.array(truth),
        probabilities=np.eye(classes, dtype=np.float32)[predicted],
    )


def by_definition(truth: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, float]:
    rows = []
    for k in range(classes):
        hit = ((truth == k) & (predicted == k)).sum()
        precision = hit / max(1, (predicted == k).sum())
        recall = hit / max(1, (truth == k).sum())
        rows.append((precision, recall, 2 * precision * recall / max(1e-12, precision + recall), (truth == k).sum()))
    occurring = [row[1] for row in rows if row[3]]
    return {
        "accuracy": float((truth == predicted).mean()),
        "balanced_accuracy": float(np.mean(occurring)),
        "macro_f1": float(np.mean([row[2] for row in rows])),
        "majority_share": max(row[3] for row in rows) / len(truth),
        "recall": [row[1] for row in rows],
        "precision": [row[0] for row in rows],
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("classes", "present"), [(2, 2), (5, 5), (5, 3)])
def test_metrics_equal_their_definitions_even_where_classes_are_absent(seed: int, classes: int, present: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, present, 60), rng.integers(0, classes, 60)
    metrics = measure(result(truth.tolist(), predicted.tolist(), classes))
    expected = by_definition(truth, predicted, classes)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "majority_share"):
        assert getattr(metrics, name) == pytest.approx(expected[name])
    assert [item.recall for item in metrics.per_class] == pytest.approx(expected["recall"])
    assert [item.precision for item in metrics.per_class] == pytest.approx(expected["precision"])


def test_rows_of_the_confusion_matrix_are_truth() -> None:
    assert measure(result([0, 0, 1], [1, 1, 1], 2)).confusion.tolist() == [[0, 2], [0, 1]]


def test_perfect_predictions_of_one_class_alone_are_perfect() -> None:
    metrics = measure(result([1, 1, 1], [1, 1, 1], 2, ordered=True))
    assert (metrics.accuracy, metrics.balanced_accuracy, metrics.majority_share) == (1, 1, 1)


def test_quadratic_kappa_equals_its_definition_and_is_for_grades_only() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, 80), rng.integers(0, 5, 80)
    table = np.zeros((5, 5))
    np.add.at(table, (truth, predicted), 1)
    weights = (np.arange(5)[:, None] - np.arange(5)) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / 80
    kappa = measure(result(truth.tolist(), predicted.tolist(), 5, ordered=True)).kappa
    assert kappa == pytest.approx(1 - (weights * table).sum() / (weights * chance).sum())
    assert measure(result([0, 1], [0, 1], 2)).kappa is None


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("none", [[3, 1], [0, 0]]),
        ("true", [[0.75, 0.25], [0, 0]]),
        ("pred", [[1, 1], [0, 0]]),
        ("all", [[0.75, 0.25], [0, 0]]),
    ],
)
def test_normalised_shares_sum_over_rows_columns_or_all(by: str, expected: list[list[float]]) -> None:
    assert normalized(np.array([[3, 1], [0, 0]]), by).tolist() == expected


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


def test_confidence_that_accuracy_bears_out_has_no_calibration_error_and_boasting_has() -> None:
    honest = np.tile(np.float32([0.75, 0.25]), (100, 1))
    truth = np.array([0] * 75 + [1] * 25)
    assert calibration_error(honest, truth) == pytest.approx(0, abs=1e-6)
    assert calibration_error(np.tile(np.float32([1, 0]), (100, 1)), truth) == pytest.approx(0.25)
    assert calibration_error(np.eye(2, dtype=np.float32)[truth], truth) == 0


def test_a_result_with_a_temperature_tells_the_calibration_error_without_it_too() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(0, 3, (300, 3)).astype(np.float32), rng.integers(0, 3, 300)
    plain = replace(result([0], [0], 3), truth=truth, paths=("",) * 300, probabilities=softmax(logits))
    warm = replace(plain, probabilities=softmax(logits / 2.5), temperature=2.5)
    assert measure(plain).uncalibrated_error is None
    assert measure(warm).uncalibrated_error == pytest.approx(measure(plain).calibration_error, abs=1e-5)
    assert measure(warm).calibration_error < measure(plain).calibration_error
