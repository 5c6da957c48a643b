"""The rules by which the gate judges, on numbers for which each rule's verdict is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from exporter.parity import Check, Parity, judge
from exporter.precisions import EXPORTS
from infer.metrics.intervals import paired_difference
from infer.metrics.point_values import softmax

COUNT = 400
RULES = {name: export.rule for name, export in EXPORTS.items()}
INT8_SCALE = RULES["int8"].scale
EMPTY = Check("CPUExecutionProvider", 16, COUNT, ())


def made_up(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, 3] whose classes are at least 1 apart, and a truth that most of them meet."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, COUNT)
    logits = rng.uniform(-1, 1, (COUNT, 3)).astype(np.float32)
    logits[np.arange(COUNT), labels] += 4
    truth = np.where(rng.random(COUNT) < 0.9, labels, (labels + 1) % 3)
    return logits, truth


def verdict(precision: str, expected: np.ndarray, got: np.ndarray, truth: np.ndarray, magnitude: float = 10) -> Check:
    return judge(EMPTY, RULES[precision], 2.0, expected, got, softmax(got / 2), truth, magnitude)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_equal_outputs_pass(precision: str) -> None:
    logits, truth = made_up()
    check = verdict(precision, logits, logits.copy(), truth)
    assert check.failures == ()
    assert (check.logit_difference, check.logit_p999, check.noise, check.labels_differ) == (0, 0, 0, 0)
    assert check.accuracy == check.network_accuracy == (logits.argmax(1) == truth).mean()
    assert check.accuracy_difference == paired_difference(0, 0, COUNT)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_logit_may_be_off_by_a_share_of_the_sum_behind_it_and_no_more(precision: str) -> None:
    logits, truth = made_up()
    for factor, passes in ((0.99, True), (1.01, False)):
        got = logits.astype(np.float64)
        got[7, 1] += factor * RULES[precision].logits * 10
        check = verdict(precision, logits, got.astype(np.float32), truth)
        assert (not check.failures) is passes
    assert verdict(precision, logits, got.astype(np.float32), truth, magnitude=20).failures == ()


def test_a_single_logit_of_int8_may_be_far_off() -> None:
    logits, truth = made_up()
    got = logits.copy()
    got[7] += [2, 2.5, 2]
    check = verdict("int8", logits, got, truth)
    assert check.failures == ()
    assert check.tolerance is None
    assert check.logit_difference == pytest.approx(2.5, abs=1e-5)


@pytest.mark.parametrize("scale", [-1.0, 0.6, 1 - 1.1 * INT8_SCALE, 1 + 1.1 * INT8_SCALE, 1.5])
def test_a_wrong_scale_of_int8_which_moves_no_label_fails(scale: float) -> None:
    logits, truth = made_up()
    check = verdict("int8", logits, (scale * logits).astype(np.float32), truth)
    assert any(f"logits are {scale:.2f} times the network's" in failure for failure in check.failures)
    assert check.scale == pytest.approx(scale)
    right = verdict("int8", logits, logits + np.float32([[0.2], [-0.2]] * (COUNT // 2)), truth)
    assert right.failures == ()
    assert right.scale == pytest.approx(1)  # what is common to all classes changes no probability


def test_labels_and_averages_of_a_few_images_are_not_judged() -> None:
    logits, truth = (part[:8] for part in made_up())
    got = logits.copy()
    got[:3] = got[:3][:, [1, 2, 0]]
    for full in (True, False):
        check = judge(EMPTY, RULES["int8"], 2.0, logits, got, softmax(got / 2), truth, 10, with_labels=full)
        assert bool(check.failures) is full
        assert check.labels_differ == 3


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_share_of_labels_may_differ_and_no_more(precision: str) -> None:
    logits, truth = made_up()
    allowed = int(RULES[precision].labels * COUNT)
    wrong = np.flatnonzero(logits.argmax(1) != truth)  # flips among images that the network gets wrong anyway
    for flips, passes in ((allowed, True), (allowed + 1, False)):
        rows = wrong[:flips]
        got, near = logits.copy(), logits.copy()
        other = (truth[rows] + 1) % 3
        near[rows] = 0  # the network is unsure of these, so that a flip moves no logit by much
        near[rows, other] = 0.002
        got[rows] = 0
        got[rows, (other + 1) % 3] = 0.002
        wrong_both = near.argmax(1)[rows] != truth[rows]
        check = verdict(precision, near, got, np.where(np.isin(np.arange(COUNT), rows[~wrong_both]), -1, truth))
        assert check.labels_differ == flips
        assert any("labels differ" in failure for failure in check.failures) is not passes
        assert {flip.image for flip in check.flips} == set(rows)
        assert all(flip.margin == pytest.approx(0.002) for flip in check.flips)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_accuracy_may_differ_by_a_share_and_no_more(precision: str) -> None:
    logits, _ = made_up()
    truth = logits.argmax(1)
    allowed = int(RULES[precision].accuracy * COUNT)
    for lost, passes in ((allowed, True), (allowed + 1, False)):
        near, got = logits.copy(), logits.copy()
        for values, label in ((near, truth[:lost]), (got, (truth[:lost] + 1) % 3)):
            values[:lost] = 0
            values[np.arange(lost), label] = 0.002
        check = verdict(precision, near, got, truth)
        assert any("accuracy differs" in failure for failure in check.failures) is not passes
        assert check.accuracy == pytest.approx(1 - lost / COUNT)
        assert check.accuracy_difference == paired_difference(0, lost, COUNT)


def test_one_label_may_differ_however_few_the_images() -> None:
    logits, truth = (part[:10] for part in made_up())
    got = logits.copy()
    got[3] = got[3][[1, 2, 0]]
    near = logits.copy()
    assert not any(
        "labels" in failure or "accuracy" in failure for failure in verdict("int8", near, got, truth).failures
    )


def test_nan_and_shapes_that_differ_fail_and_leave_no_figure() -> None:
    logits, truth = made_up()
    broken = logits.copy()
    broken[0, 0] = np.nan
    for got in (broken, logits[:, :2]):
        check = verdict("int8", logits, got, truth)
        assert len(check.failures) == 1
        assert check.logit_difference is None


def test_probabilities_that_are_not_those_of_the_logits_fail() -> None:
    logits, truth = made_up()
    check = judge(EMPTY, RULES["fp32"], 2.0, logits, logits, softmax(logits), truth, 10)
    assert check.failures == ("probabilities are not softmax(logits / temperature)",)


def parity() -> Parity:
    logits, truth = made_up()
    got = logits.copy()
    got[5] = got[5][[1, 2, 0]]
    checks = (verdict("fp32", logits, logits, truth), verdict("fp32", logits, got, truth))
    return Parity("fp32", 17, COUNT, 0, "0" * 64, checks, RULES["fp32"].to_json())


def test_the_json_has_the_verdict() -> None:
    found = json.loads(json.dumps(parity().to_json()))
    assert found["passed"] is False
    assert replace(parity(), checks=parity().checks[:1]).to_json()["passed"] is True
    assert found["checks"][1]["flips"][0]["image"] == 5
    assert found["rule"] == {"logits": RULES["fp32"].logits, "softmax": 1e-5}


def test_a_provider_that_may_fail_is_left_out_with_all_its_checks() -> None:
    good, bad = parity().checks
    checks = (good, replace(good, provider="Other"), replace(bad, provider="Other"))
    found = replace(parity(), checks=checks)
    assert found.providers == ("CPUExecutionProvider", "Other")
    assert found.failures
    assert found.without({"Third"}) == found
    assert found.without({"Other"}).checks == (good,)
    assert not found.without({"Other"}).failures
    assert replace(found, checks=(bad,)).without({"Other"}).failures
