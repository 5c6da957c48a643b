"""Every metric against its definition, counted by hand from the confusion matrix."""

import numpy as np
import pytest

from infer.card import ClassName
from infer.metrics import EvaluationResult, measure, normalized

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
