"""What is drawn is what was counted."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.results import random_result

from infer.reports.figures import (
    balance_figure,
    confusion_figure,
    largest_of_blocks,
    reliability_figure,
    scores_figure,
)
from infer.reports.plot_style import plain_style


def texts(axes: object) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(("normalize", "share"), [("none", "25%"), ("true", "25%"), ("pred", "17%"), ("all", "10%")])
def test_a_cell_of_the_confusion_matrix_has_its_count_and_its_share(normalize: str, share: str) -> None:
    with plain_style():
        drawing = confusion_figure(random_result(2, 4), np.array([[5, 1], [1, 3]]), normalize)
    assert texts(drawing.figure.axes[0])[2] == f"1\n{share}"
    assert "8 of 10 images are on the diagonal" in drawing.summary


def test_a_class_without_images_has_no_shares_and_small_shares_are_not_shown_as_zero() -> None:
    with plain_style():
        drawing = confusion_figure(random_result(2, 4), np.array([[0, 0], [1, 5000]]), "none")
    assert texts(drawing.figure.axes[0]) == ["0\n-", "0\n-", "1\n<0.1%", "5000\n>99.9%"]


def test_of_many_classes_empty_cells_are_empty() -> None:
    with plain_style():
        drawing = confusion_figure(random_result(30, 4), np.eye(30, dtype=np.int64) * 3, "true")
    assert texts(drawing.figure.axes[0]) == ["3"] * 30


def test_the_reliability_diagram_has_each_bins_confidence_accuracy_and_count() -> None:
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.55, 0.55])
    result = replace(
        random_result(2, 6),
        truth=np.array([0, 0, 0, 1, 0, 1]),
        probabilities=np.stack([sure, 1 - sure], axis=1).astype(np.float32),
    )
    with plain_style():
        drawing = reliability_figure(result)
    above, below = drawing.figure.axes
    points = above.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points, [[0.55, 0.5], [0.9, 0.75]], atol=1e-6)
    assert sorted(bar.get_height() for bar in below.patches)[-2:] == [2, 4]
    assert "mean confidence 78.3%, accuracy 66.7%" in drawing.summary


def test_scores_are_by_truth_for_two_classes_and_by_outcome_for_more() -> None:
    with plain_style():
        assert "class 0: median" in scores_figure(random_result(2, 30)).summary
        drawing = scores_figure(random_result(4, 30))
    assert drawing.summary.startswith("right: median")
    heights = [patch.get_data()[0].sum() for patch in drawing.figure.axes[0].patches]
    np.testing.assert_allclose(heights, 1)


def test_without_errors_only_right_predictions_are_drawn() -> None:
    result = random_result(3, 9)
    result = replace(result, probabilities=np.eye(3, dtype=np.float32)[result.truth])
    with plain_style():
        assert scores_figure(result).summary == "right: median 1.00 over 9 images"


def test_the_balance_has_the_counts_of_every_set() -> None:
    result = random_result(3, 40)
    with plain_style():
        drawing = balance_figure(result, {"training": [10, 20, 30], "validation": [0, 0, 0]})
    own = np.bincount(result.truth, minlength=3)
    assert drawing.summary == f"training: 10, 20, 30; these images: {', '.join(map(str, own))}"
    np.testing.assert_allclose([bar.get_width() for bar in drawing.figure.axes[0].patches[:3]], [1 / 6, 2 / 6, 3 / 6])


def test_with_many_classes_pictures_have_one_size_and_the_balance_is_a_curve() -> None:
    result = random_result(450, 900)
    confusion = np.eye(450, dtype=np.int64) * 3
    confusion[7, 300] = 5
    with plain_style():
        drawing = confusion_figure(result, confusion, "none")
        balance = balance_figure(result, {"training": [4] * 449 + [9]})
    axes = drawing.figure.axes[0]
    assert texts(axes) == []
    cells = axes.images[0].get_array()
    assert cells.shape == (225, 225)
    assert cells[3, 150] == 5
    assert "a cell stands for 2 x 2 classes" in drawing.summary
    assert max(*drawing.figure.get_size_inches(), *balance.figure.get_size_inches()) < 9
    assert balance.summary.startswith("training: 4 to 9 images in each class; these images: ")
    assert balance.figure.axes[0].lines[0].get_ydata().tolist() == [9] + [4] * 449


def test_a_block_of_cells_has_its_largest_value() -> None:
    blocks, side = largest_of_blocks(np.arange(25.0).reshape(5, 5), 3)
    assert blocks.tolist() == [[6, 8, 9], [16, 18, 19], [21, 23, 24]]
    assert side == 2
    unchanged, side = largest_of_blocks(np.eye(3), 3)
    assert (unchanged.tolist(), side) == (np.eye(3).tolist(), 1)
