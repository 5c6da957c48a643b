from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exporter.reference import Reference
from exporter.threshold import choose_threshold, with_threshold
from infer.core.console import Screen
from infer.dataset.table import Table
from infer.model.card import ClassName, ModelCard, read_card


@pytest.mark.parametrize("digits", [1, 6])
def test_no_other_threshold_has_a_larger_youden_index_and_a_lower_one_of_the_same_does_not_exist(digits: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 40)
        scores = np.clip(np.round(rng.normal(0.4 + 0.2 * truth, 0.2), digits), 0, 1).astype(np.float32)
        found = choose_threshold(scores, truth)
        assert found is not None
        levels = np.linspace(-0.05, 1.05, 2201)
        index = [np.mean(scores[truth == 1] >= t) - np.mean(scores[truth == 0] >= t) for t in (*levels, found)]
        assert index[-1] >= max(index) - 1e-12
        lower = levels[: np.searchsorted(levels, found)]
        flagged = scores >= found
        for t, value in zip(lower, index, strict=False):
            assert value < index[-1] or ((scores >= t) == flagged).all()


def test_the_threshold_lies_halfway_between_scores() -> None:
    assert choose_threshold(np.float32([0.125, 0.25, 0.5, 0.75]), np.array([0, 0, 1, 1])) == 0.375
    nearly_one = np.nextafter(np.float32(1), np.float32(0))
    threshold = choose_threshold(np.array([nearly_one, 1], dtype=np.float32), np.array([0, 1]))
    assert nearly_one < threshold < 1


@pytest.mark.parametrize(("scores", "truth"), [([0.1, 0.9], [1, 1]), ([0.5, 0.5], [0, 1]), ([0.9, 0.1], [0, 1])])
def test_where_nothing_is_better_than_a_guess_there_is_none(scores: list[float], truth: list[int]) -> None:
    assert choose_threshold(np.float32(scores), np.array(truth)) is None


@pytest.fixture
def exported(model: Path, tmp_path: Path) -> tuple[ModelCard, Reference, Table]:
    """A card without a threshold, answers to four images, and their table; one image of its five was unreadable."""
    card = replace(read_card(model), operating_point=None, temperature=2.0)
    table = Table(
        name="cells",
        layout="",
        root=tmp_path,
        classes=card.classes,
        paths=("a", "b", "c", "d", "e"),
        labels=np.array([0, 0, 1, 1, 1]),
        groups=("p", "", "p", "q", "r"),
        splits=("valid",) * 5,
    )
    logits = np.float32([[2, 0], [1, 0], [0, 1], [0, 2]])
    files = tuple(table.files()[:4])
    return card, Reference(files, table.labels[:4], logits, 1.0, card.pixels, (), ""), table


def test_the_card_tells_the_threshold_of_tempered_probabilities_and_what_it_was_chosen_on(
    exported: tuple[ModelCard, Reference, Table], quiet: Screen
) -> None:
    card, reference, table = exported
    point = with_threshold(card, reference, table, quiet).operating_point
    assert point.threshold == pytest.approx(0.5)
    assert (point.images, point.groups) == (4, 2)
    assert str(point) == "4 validation images of 2 patients"


def test_no_threshold_is_chosen_on_a_test_set_nor_of_three_classes(
    exported: tuple[ModelCard, Reference, Table], quiet: Screen
) -> None:
    card, reference, table = exported
    assert with_threshold(card, reference, replace(table, splits=("test",) * 5), quiet) == card
    three = replace(card, classes=(*card.classes, ClassName("third", "3")))
    assert with_threshold(three, reference, table, quiet) == three


def test_export_stores_a_threshold_that_inspect_and_evaluate_tell(lab: Callable, model: Path, tmp_path: Path) -> None:
    point = read_card(model).operating_point
    assert point is not None
    assert f"{point.threshold:.4f} of 1 blast, by Youden's index on 12 validation images" in lab("inspect", model).out
    out = lab("evaluate", "--model", model, "--out", tmp_path / "report").out
    assert "sensitivity" in out
    assert "the threshold were chosen on these very images" in out
