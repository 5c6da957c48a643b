import numpy as np
import pytest

from infer.metrics.caveats import caveats
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName


def text_of(truth: list[int], wrong: int = 10, groups: tuple[str, ...] = ()) -> str:
    predicted = np.array(truth)
    predicted[:wrong] = 1 - predicted[:wrong]
    return "\n".join(
        caveats(
            EvaluationResult(
                title="",
                classes=(ClassName("[/normal]", "0"), ClassName("blast", "1")),
                ordered=False,
                paths=tuple(map(str, truth)),
                truth=np.array(truth),
                probabilities=np.eye(2, dtype=np.float32)[predicted],
                groups=groups,
            )
        )
    )


ENOUGH = [0, 1] * 60


def test_a_result_without_caveats_has_none() -> None:
    assert text_of(ENOUGH, groups=tuple(str(k % 30) for k in range(120))) == ""


def test_unknown_patients_are_a_caveat() -> None:
    assert "patients are unknown" in text_of(ENOUGH)


@pytest.mark.parametrize(("patients", "few"), [(29, True), (30, False)])
def test_fewer_than_30_patients_are_a_caveat(patients: int, few: bool) -> None:
    assert (f"only {patients} patients" in text_of(ENOUGH, groups=tuple(str(k % patients) for k in range(120)))) is few


def test_images_without_a_patient_among_those_with_one_are_counted() -> None:
    assert "the patients of 7 of 120 images are unknown" in text_of(
        ENOUGH, groups=("",) * 7 + tuple(str(k) for k in range(113))
    )


def test_classes_with_fewer_than_10_images_and_without_any_are_named() -> None:
    assert "fewer than 10 images of 1 blast (9)" in text_of([0] * 50 + [1] * 9)
    assert "fewer than" not in text_of([0] * 50 + [1] * 10)
    assert "no images of 0 [/normal]" in text_of([1] * 20)


@pytest.mark.parametrize(("wrong", "few"), [(9, True), (10, False)])
def test_fewer_than_10_errors_are_a_caveat(wrong: int, few: bool) -> None:
    assert (f"{wrong} of 120 images are misclassified" in text_of(ENOUGH, wrong)) is few
