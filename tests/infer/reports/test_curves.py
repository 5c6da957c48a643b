"""The curves are those of scikit-learn, of the classes that allow one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from helpers.results import random_result
from sklearn.metrics import average_precision_score, roc_auc_score

from infer.metrics.metrics import measure
from infer.metrics.result import EvaluationResult
from infer.model.card import OperatingPoint
from infer.reports.curves import MOST_POINTS, NAMED, precision_recall_figure, roc_figure
from infer.reports.figures import scores_figure
from infer.reports.plot_style import Drawing, plain_style


def draw(figure: Callable, result: EvaluationResult) -> Drawing | None:
    return figure(result, measure(result, resamples=0))


def test_of_two_classes_the_roc_curve_is_the_seconds_with_its_area() -> None:
    result = random_result(2, 60)
    with plain_style():
        drawing = draw(roc_figure, result)
    lines = [line for line in drawing.figure.axes[0].lines if line.get_label().startswith("1 class 1")]
    x, y = lines[0].get_data()
    assert drawing.title == "ROC curve"
    area = roc_auc_score(result.truth == 1, result.probabilities[:, 1])
    assert np.trapezoid(y, x) == pytest.approx(area)
    assert drawing.summary == f"AUC: 1 class 1 {area:.3f}"
    assert len(lines) == 1


def test_precision_and_recall_are_drawn_for_each_class_that_occurs() -> None:
    result = random_result(4, 80)
    result = replace(result, truth=np.where(result.truth == 3, 0, result.truth))
    with plain_style():
        drawing = draw(precision_recall_figure, result)
    assert [line.get_label()[:1] for line in drawing.figure.axes[0].lines if ": AP" in str(line.get_label())] == [
        "0",
        "1",
        "2",
    ]
    area = average_precision_score(result.truth == 1, result.probabilities[:, 1])
    assert f"1 class 1 {area:.3f}" in drawing.summary


def test_images_of_one_class_have_no_curves() -> None:
    result = random_result(3, 5)
    only = replace(result, truth=np.ones(5, dtype=np.int64))
    assert draw(roc_figure, only) is None
    assert draw(precision_recall_figure, only) is None


def test_of_many_classes_those_with_the_lowest_area_are_named() -> None:
    result = random_result(12, 240)
    with plain_style():
        drawing = draw(roc_figure, result)
    areas = [roc_auc_score(result.truth == k, result.probabilities[:, k]) for k in range(12)]
    lowest = {str(k) for k in np.argsort(areas)[:NAMED]}
    assert {
        line.get_label().split()[0] for line in drawing.figure.axes[0].lines if ": AUC" in str(line.get_label())
    } == lowest
    assert "6 more classes in grey" in drawing.summary


def test_a_curve_of_many_images_has_few_points_and_both_ends() -> None:
    result = random_result(2, 20_000)
    with plain_style():
        drawing = draw(precision_recall_figure, result)
    (line,) = [line for line in drawing.figure.axes[0].lines if str(line.get_label()).startswith("1 class 1")]
    recall = line.get_xdata()
    assert len(recall) <= MOST_POINTS
    assert (min(recall), max(recall)) == (0, 1)


def test_the_models_threshold_is_marked_where_its_sensitivity_and_specificity_are() -> None:
    result = replace(random_result(2, 60), operating_point=OperatingPoint(0.3, 40, None))
    at = measure(result, resamples=0).at_threshold
    with plain_style():
        drawing = draw(roc_figure, result)
        scores = scores_figure(result).figure
    (star,) = [line for line in drawing.figure.axes[0].lines if line.get_label() == "threshold 0.300"]
    assert star.get_xydata()[0].tolist() == pytest.approx([1 - at.specificity.value, at.sensitivity.value])
    assert [line.get_xdata()[0] for line in scores.axes[0].lines if "threshold" in str(line.get_label())] == [0.3]
