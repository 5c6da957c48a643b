"""Is one model better: paired differences, against plain computations and in simulated studies."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, matthews_corrcoef, roc_auc_score

from infer.core.errors import DataError
from infer.metrics.metrics import Estimate
from infer.metrics.paired import compared, differences, in_common, verdict
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName


def result_of(truth: np.ndarray, logits: np.ndarray, groups: Sequence[str] = ()) -> EvaluationResult:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return EvaluationResult(
        title="t",
        classes=tuple(ClassName(f"c{k}", str(k)) for k in range(logits.shape[1])),
        ordered=logits.shape[1] > 2,
        paths=tuple(f"{k}.png" for k in range(len(truth))),
        truth=truth,
        probabilities=(powers / powers.sum(axis=1, keepdims=True)).astype(np.float32),
        groups=tuple(groups),
    )


def pair(seed: int, images: int, gain: float, classes: int = 2) -> tuple[EvaluationResult, EvaluationResult]:
    """Two models that share most of their noise; the second's signal is stronger by `gain`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, images)
    shared = rng.normal(size=(images, classes))
    signals = [np.eye(classes)[truth] * strength for strength in (1.0, 1.0 + gain)]
    first, second = (result_of(truth, s + shared + 0.5 * rng.normal(size=(images, classes))) for s in signals)
    return first, second


@pytest.mark.parametrize("classes", [2, 4])
def test_differences_are_those_of_scikit_learns_metrics(classes: int) -> None:
    first, second = pair(0, 200, 0.5, classes)
    found = differences(first, second, resamples=200)
    names = ["accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "matthews", "kappa", "roc_auc"]
    names += ["average_precision", "log_loss", "brier"]
    assert list(found) == [name for name in names if name != "kappa" or classes > 2]

    def plain(item: EvaluationResult) -> dict[str, float]:
        wide = item.probabilities.astype(float)
        scores = wide[:, 1] if classes == 2 else wide / wide.sum(axis=1, keepdims=True)
        return {
            "accuracy": float((item.truth == item.predicted).mean()),
            "balanced_accuracy": balanced_accuracy_score(item.truth, item.predicted),
            "macro_f1": f1_score(item.truth, item.predicted, average="macro"),
            "matthews": matthews_corrcoef(item.truth, item.predicted),
            "roc_auc": roc_auc_score(item.truth, scores, multi_class="ovr"),
            "log_loss": log_loss(item.truth, wide / wide.sum(axis=1, keepdims=True)),
        }

    one, two = plain(first), plain(second)
    for name in one:
        estimate = found[name]
        assert estimate.value == pytest.approx(two[name] - one[name], abs=1e-6)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high


def test_a_clearly_better_model_is_recognised_in_either_order() -> None:
    first, second = pair(1, 400, 2.0)
    forwards, backwards = differences(first, second, resamples=400), differences(second, first, resamples=400)
    assert len(compared(ordered=False)) == len(forwards) == 9
    for metric in compared(ordered=False):
        assert verdict(metric, forwards[metric.key]) == 1, metric.key
        assert verdict(metric, backwards[metric.key]) == -1, metric.key


def test_a_model_is_not_better_than_itself() -> None:
    first, _ = pair(2, 50, 0.0)
    found = differences(first, first, resamples=200)
    for metric in compared(ordered=False):
        item = found[metric.key]
        assert item.value == 0
        assert verdict(metric, item) == 0
        assert item.low is not None
        assert item.low < 0


def test_the_interval_of_a_difference_is_narrower_than_that_of_unpaired_models() -> None:
    first, second = pair(3, 300, 0.3)
    turned = replace(second, truth=second.truth[::-1], probabilities=second.probabilities[::-1])
    width = {}
    for name, other in (("paired", second), ("unpaired", turned)):
        item = differences(replace(first, truth=other.truth) if name == "unpaired" else first, other, 400)["accuracy"]
        assert item.low is not None
        assert item.high is not None
        width[name] = item.high - item.low
    assert width["paired"] < 0.8 * width["unpaired"]


def test_intervals_hold_the_true_difference_about_95_times_in_100() -> None:
    truth_first, truth_second = pair(10_000, 200_000, 0.4)
    true = {
        "accuracy": np.mean(truth_second.predicted == truth_second.truth)
        - np.mean(truth_first.predicted == truth_first.truth),
        "roc_auc": roc_auc_score(truth_second.truth, truth_second.probabilities[:, 1])
        - roc_auc_score(truth_first.truth, truth_first.probabilities[:, 1]),
    }
    held = dict.fromkeys(true, 0)
    for seed in range(100):
        found = differences(*pair(seed, 300, 0.4), resamples=300)
        for name, value in true.items():
            item = found[name]
            held[name] += item.low <= value <= item.high  # type: ignore[operator]
    assert all(88 <= times <= 100 for times in held.values()), held


def test_images_of_one_patient_are_drawn_together() -> None:
    first, second = pair(4, 60, 0.5)
    groups = [f"p{k // 20}" for k in range(60)]
    alone = differences(first, second, 300)["accuracy"]
    together = differences(replace(first, groups=tuple(groups)), second, 300)["accuracy"]
    assert alone.value == together.value
    assert (alone.low, alone.high) != (together.low, together.high)


def test_only_images_that_all_reports_have_are_compared_matched_by_name() -> None:
    first, second = pair(5, 8, 0.5)
    order = [6, 2, 4, 0]
    fewer = replace(
        second,
        paths=tuple(second.paths[k] for k in order),
        truth=second.truth[order],
        probabilities=second.probabilities[order],
    )
    one, two = in_common([first, fewer])
    assert one.paths == two.paths == ("0.png", "2.png", "4.png", "6.png")
    assert np.array_equal(one.truth, two.truth)
    assert np.array_equal(two.probabilities, second.probabilities[[0, 2, 4, 6]])


def test_results_that_cannot_be_compared_are_refused_in_one_line() -> None:
    first, second = pair(6, 8, 0.5)
    with pytest.raises(DataError, match="share no image"):
        in_common([first, replace(second, paths=tuple("abcdefgh"))])
    with pytest.raises(DataError, match=r"disagree on the true class of 0\.png; "):
        in_common([first, replace(second, truth=np.array([1 - second.truth[0], *second.truth[1:]]))])
    with pytest.raises(DataError, match="have different classes"):
        in_common([first, replace(second, classes=tuple(reversed(second.classes)))])


def test_a_metric_that_is_undefined_in_one_has_no_difference() -> None:
    first, second = pair(7, 20, 0.5)
    one_class = np.zeros(20, dtype=np.int64)
    found = differences(replace(first, truth=one_class), replace(second, truth=one_class), 100)
    assert found["roc_auc"] == Estimate(None)
    assert found["accuracy"].value is not None


def test_a_patient_may_be_known_from_any_report_and_contradictions_are_refused() -> None:
    first, second = pair(8, 60, 0.5)
    knowing = replace(second, groups=tuple(f"p{k // 6}" for k in range(60)))
    shared = in_common([first, knowing])
    assert shared[0].groups == shared[1].groups == knowing.groups
    assert in_common([knowing, first])[0].groups == knowing.groups
    other = replace(first, groups=tuple(f"q{k // 6}" for k in range(60)))
    with pytest.raises(DataError, match="disagree on the patient of an image"):
        in_common([other, knowing])


def test_grades_compare_with_classes_that_have_no_order() -> None:
    first, second = pair(9, 40, 0.5, classes=3)
    plain = replace(second, ordered=False)
    assert "kappa" in differences(first, second, 100)
    assert "kappa" not in differences(first, plain, 100)
    assert "kappa" not in differences(plain, first, 100)
