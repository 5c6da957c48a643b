"""What a report's reader is promised: each number by its definition, and an interval that holds it."""

import tracemalloc
from dataclasses import astuple, replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import infer.metrics.draws
from infer.metrics.draws import SortedPredictions
from infer.metrics.metrics import Estimate, Metrics, measure, normalized
from infer.metrics.point_values import softmax
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName, OperatingPoint

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


def soft(classes: int, images: int, seed: int, groups: int = 0) -> EvaluationResult:
    """Predictions that are right more often than not, of grades."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, images)
    probabilities = softmax(rng.normal(0, 1, (images, classes)) + 1.2 * np.eye(classes)[truth])
    names = tuple(f"patient {k % groups}" for k in range(images)) if groups else ()
    made = replace(result([0], [0], classes, ordered=True), truth=truth, probabilities=probabilities, groups=names)
    return replace(made, paths=tuple(map(str, range(images))))


def estimates(metrics: Metrics) -> dict[str, Estimate]:
    """Every estimate of a report, by name."""
    found = dict(metrics.estimates)
    for k, one in enumerate(metrics.per_class):
        found |= {f"{name} {k}": value for name, value in one.estimates.items()}
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("classes", "present"), [(2, 2), (5, 5), (5, 3), (3, 1)])
def test_shares_equal_their_definitions_even_where_classes_are_absent(seed: int, classes: int, present: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, present, 60).tolist(), rng.integers(0, classes, 60).tolist()
    metrics = measure(result(truth, predicted, classes), resamples=0)
    pairs = list(zip(truth, predicted, strict=True))
    assert metrics["accuracy"].value == sum(t == p for t, p in pairs) / 60
    assert metrics.majority_share == max(truth.count(k) for k in range(classes)) / 60
    for k, one in enumerate(metrics.per_class):
        assert one.support == truth.count(k)
        assert one["precision"].value == share(pairs.count((k, k)), predicted.count(k))
        assert one["recall"].value == share(pairs.count((k, k)), truth.count(k))
        assert one["specificity"].value == share(sum(t != k != p for t, p in pairs), 60 - truth.count(k))


def share(part: int, total: int) -> float | None:
    return part / total if total else None


def test_rows_of_the_confusion_matrix_are_truth() -> None:
    assert measure(result([0, 0, 1], [1, 1, 1], 2)).confusion.tolist() == [[0, 2], [0, 1]]


@pytest.mark.parametrize("groups", [0, 40])
@pytest.mark.parametrize("classes", [2, 4])
def test_every_metric_has_an_interval_around_it_within_its_range(classes: int, groups: int) -> None:
    found = estimates(measure(soft(classes, 200, 1, groups)))
    assert len(found) == 11 + 6 * classes
    for name, one in found.items():
        assert one.low < one.value < one.high, name
        assert (-1 if name in ("matthews", "kappa") else 0) <= one.low, name
        assert one.high <= (1.5 if name == "log_loss" else 1), name


@pytest.mark.parametrize("groups", [(), tuple("abcdefghij") * 3])
@pytest.mark.parametrize("classes", [2, 3])
def test_no_perfect_score_and_no_loss_of_zero_passes_for_certain(classes: int, groups: tuple[str, ...]) -> None:
    truth = [k % classes for k in range(30)]
    perfect = replace(result(truth, truth, classes, ordered=True), groups=groups)
    for name, one in estimates(measure(perfect)).items():
        if name in ("log_loss", "brier", "calibration_error"):
            assert one.value == pytest.approx(0, abs=1e-9)
            assert one.high > 0.1, name
        else:
            assert (one.value, one.high) == (pytest.approx(1), 1), name
            assert one.low < 0.9, name


def test_the_interval_of_a_class_without_hits_reaches_well_above_zero() -> None:
    metrics = measure(result([0] * 20 + [1] * 5, [0] * 25, 2))
    for one in (metrics.per_class[1]["recall"], metrics.per_class[1]["f1"], metrics["matthews"]):
        assert one.value == 0
        assert one.high > 0.3


def test_metrics_that_need_two_classes_are_undefined_for_one() -> None:
    metrics = measure(result([1, 1, 1], [1, 1, 1], 2, ordered=True))
    assert (metrics["accuracy"].value, metrics["balanced_accuracy"].value, metrics.majority_share) == (1, 1, 1)
    nothing = Estimate(None)
    for one in (metrics["matthews"], metrics["roc_auc"], metrics["average_precision"], metrics["kappa"]):
        assert one == nothing
    absent = metrics.per_class[0]
    assert [absent["recall"], absent["precision"], absent["f1"], absent["roc_auc"]] == [nothing] * 4
    assert metrics.per_class[1]["specificity"] == nothing
    assert any("no images of 0" in note for note in metrics.notes)


def test_kappa_is_for_grades_only() -> None:
    assert "kappa" not in measure(result([0, 1], [0, 1], 2), resamples=0).estimates


def test_a_single_image_has_metrics_with_very_wide_intervals() -> None:
    metrics = measure(result([1], [1], 2))
    assert metrics["accuracy"] == Estimate(1, pytest.approx(0.2065, abs=1e-4), 1)
    assert measure(replace(result([1, 0], [1, 0], 2), groups=("a", "a")))["macro_f1"].low < 0.3


def test_intervals_are_wider_where_images_of_a_patient_agree() -> None:
    alone = soft(2, 300, 3)
    truth, probabilities = np.repeat(alone.truth[:60], 5), np.repeat(alone.probabilities[:60], 5, axis=0)
    repeated = replace(alone, truth=truth, probabilities=probabilities)
    known = measure(replace(repeated, groups=tuple(str(k // 5) for k in range(300))))
    ignored, wide = estimates(measure(repeated)), estimates(known)
    assert known.groups == 60
    for name, one in ignored.items():
        assert wide[name].high - wide[name].low > 1.5 * (one.high - one.low), name


def test_sensitivity_and_specificity_use_the_models_threshold() -> None:
    made = soft(2, 100, 4)
    at = measure(replace(made, operating_point=OperatingPoint(0.3, 50, 20))).at_threshold
    positive = made.probabilities[:, 1] >= 0.3
    assert at.sensitivity.value == pytest.approx(positive[made.truth == 1].mean())
    assert at.specificity.value == pytest.approx(1 - positive[made.truth == 0].mean())
    assert at.sensitivity.low < at.sensitivity.value < at.sensitivity.high
    assert at.chosen_on == "50 validation images of 20 patients"
    assert measure(made, resamples=0).at_threshold is None


def test_the_same_predictions_give_the_same_numbers_every_time() -> None:
    made = soft(3, 80, 5, groups=30)
    assert estimates(measure(made)) == estimates(measure(made))


def test_the_numbers_do_not_depend_on_the_number_of_threads() -> None:
    made, measured, used = soft(3, 3000, 7, groups=500), [], []
    for threads in (1, 2):
        with threadpool_limits(threads):
            used.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
            measured.append(estimates(measure(made)))
    assert used == [{1}, {2}]
    assert measured[0] == measured[1]


def test_without_resamples_there_are_values_and_no_intervals() -> None:
    made = soft(3, 80, 6)
    plain = estimates(measure(made, resamples=0))
    assert {name: one.value for name, one in estimates(measure(made)).items()} == {
        name: one.value for name, one in plain.items()
    }
    assert all(one.low is one.high is None for one in plain.values())


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


def test_a_result_with_a_temperature_has_the_calibration_error_without_it_too() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(0, 3, (300, 3)).astype(np.float32), rng.integers(0, 3, 300)
    plain = replace(result([0], [0], 3), truth=truth, paths=("",) * 300, probabilities=softmax(logits))
    warm = replace(plain, probabilities=softmax(logits / 2.5), temperature=2.5)
    assert measure(plain).uncalibrated_error is None
    assert measure(warm).uncalibrated_error == pytest.approx(measure(plain)["calibration_error"].value, abs=1e-5)
    assert measure(warm)["calibration_error"].value < measure(plain)["calibration_error"].value


@pytest.mark.parametrize("rare", [1, 2, 4, 9])
@pytest.mark.parametrize("wrong", [0, 12])
def test_means_over_classes_allow_for_a_rare_class_that_is_never_found(rare: int, wrong: int) -> None:
    made = result([0] * 200 + [1] * rare, [1] * wrong + [0] * (200 - wrong + rare), classes=2)
    metrics = measure(made)
    for estimate in (metrics["balanced_accuracy"], metrics["macro_f1"]):
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < estimate.value
        assert estimate.value + 0.1 < estimate.high


def test_the_worst_log_loss_lies_in_its_interval() -> None:
    probabilities = np.array([[1, 0], [1, 0], [1, 0]], dtype=np.float32)
    made = result([1, 1, 1], [0, 0, 0], classes=2)
    loss = measure(replace(made, probabilities=probabilities))["log_loss"]
    assert loss.low is not None
    assert loss.high is not None
    assert loss.low <= loss.value <= loss.high  # type: ignore[operator]


def test_many_classes_take_little_memory() -> None:
    made = many(60, 120)
    tracemalloc.start()
    metrics = measure(made, resamples=20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert metrics["macro_f1"].value is not None
    assert peak < 20e6  # a matrix of classes^4 numbers would take 100 MB


def test_many_classes_have_the_numbers_that_few_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    made = many(40, 200)
    by_products = estimates(measure(made, resamples=100))
    monkeypatch.setattr(infer.metrics.draws, "MANY_CLASSES", 40)
    assert SortedPredictions.of(made.probabilities, made.truth).rankings
    for name, one in estimates(measure(made, resamples=100)).items():
        assert by_products[name] == Estimate(*(pytest.approx(end, abs=1e-12) for end in astuple(one))), name


def many(classes: int, images: int) -> EvaluationResult:
    names = tuple(ClassName(str(k), str(k)) for k in range(classes))
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, images)
    probabilities = softmax(rng.normal(0, 1, (images, classes)) + 3 * np.eye(classes)[truth])
    return EvaluationResult(
        title="many",
        classes=names,
        ordered=False,
        paths=tuple(map(str, range(images))),
        truth=truth,
        probabilities=probabilities,
    )
