import numpy as np
import pytest

from infer.dataset.colour_baseline import FOLDS, ColourBaseline, colour_baseline


def measured(shift: float, groups: list[str] | None = None, counts: tuple[int, ...] = (60, 60)) -> ColourBaseline | str:
    """The baseline on random colours of which one is higher by `shift` stds in each further class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    colours = np.random.default_rng(0).normal(size=(len(labels), 4))
    colours[:, 2] += shift * labels
    return colour_baseline(colours, labels, np.array(groups or [f"{row}" for row in range(len(labels))]))


def test_a_difference_of_colour_between_classes_is_suspicious() -> None:
    found = measured(5.0)
    assert isinstance(found, ColourBaseline)
    assert found.accuracy > 0.95
    assert found.suspicious
    assert (found.chance, found.majority_share, found.folds, found.images) == (0.5, 0.5, FOLDS, 120)


def test_colours_that_tell_nothing_stay_near_chance() -> None:
    found = measured(0.0)
    assert isinstance(found, ColourBaseline)
    assert found.balanced_accuracy == pytest.approx(0.5, abs=0.15)
    assert not found.suspicious
    assert found.interval[0] < found.accuracy < found.interval[1]


def test_a_colour_of_each_patient_is_not_mistaken_for_one_of_the_class() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(12), 20)
    # each patient has a colour, by which only a split through the patients can tell the class
    colours = rng.normal(size=(12, 8))[patients] + 0.01 * rng.normal(size=(240, 8))
    labels = patients % 2
    apart = colour_baseline(colours, labels, np.array([f"p{patient}" for patient in patients]))
    torn = colour_baseline(colours, labels, np.array([f"{row}" for row in range(240)]))
    assert isinstance(apart, ColourBaseline)
    assert isinstance(torn, ColourBaseline)
    assert apart.grouped
    assert torn.balanced_accuracy > apart.balanced_accuracy + 0.1


@pytest.mark.parametrize("counts", [(60,), (60, 1), (1, 1)])
def test_too_few_images_or_classes_are_a_reason_and_no_error(counts: tuple[int, ...]) -> None:
    found = measured(1.0, counts=counts)
    assert isinstance(found, str)
    assert "two classes" in found


def test_a_class_of_two_images_is_measured_with_two_folds() -> None:
    found = measured(1.0, counts=(30, 2))
    assert isinstance(found, ColourBaseline)
    assert found.folds == 2


def test_of_very_many_images_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.dataset.colour_baseline.MOST", 50)
    found = measured(5.0)
    assert isinstance(found, ColourBaseline)
    assert found.images == 50
