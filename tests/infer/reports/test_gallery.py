"""The images on the page, with their predictions."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.results import random_result

from infer.core.errors import ImageError
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName
from infer.reports.gallery import PRIVATE, UNKNOWN, gallery_html
from infer.reports.thumbnails import ACTIVATION, Choice, Gallery

VIEW = np.full((8, 8, 3), 90, dtype=np.uint8)


@pytest.fixture
def result() -> EvaluationResult:
    return replace(
        random_result(2, 3),
        classes=(ClassName("<i>", "0"), ClassName("blast", "1")),
        paths=("a/<b>.png", "c.png", "d.png"),
        truth=np.array([0, 0, 1]),
        probabilities=np.array([[0.25, 0.75], [0.55, 0.45], [0.1, 0.9]], dtype=np.float32),
    )


def test_each_image_has_its_name_its_prediction_and_its_probability(result: EvaluationResult) -> None:
    gallery = Gallery(8, (Choice(0, (0,), (1, 0)), Choice(1, (), (2,))), dict.fromkeys(range(3), VIEW))
    html = gallery_html(result, gallery)
    assert "predicted <bdi>1 blast</bdi>: 75.0%" in html
    assert "truth: 25.0%" in html
    assert "predicted <bdi>0 &lt;i&gt;</bdi>: 55.0% (right)" in html
    assert "a/<wbr>&lt;b&gt;.png" in html
    assert 'alt="a/&lt;b&gt;.png, truth 0 &lt;i&gt;, prediction 1 blast"' in html
    assert html.count("<img ") == 4
    assert html.count("No mistakes.") == 1


def test_an_unreadable_image_is_named_with_the_reason(result: EvaluationResult) -> None:
    gallery = Gallery(8, (Choice(0, (0,), ()),), {0: ImageError("x", "no <such> file")})
    html = gallery_html(result, gallery)
    assert "can no longer be read: no &lt;such&gt; file" in html
    assert "<img" not in html


def test_a_heat_map_stands_beside_its_image_with_one_explanation(result: EvaluationResult) -> None:
    heat = np.eye(2, dtype=np.float32)
    html = gallery_html(result, Gallery(8, (Choice(0, (0,), ()),), {0: VIEW}, {0: heat}, ACTIVATION))
    assert html.count("<img ") == 2
    assert html.count("from the class activation map") == 1


@pytest.mark.parametrize(("requested", "reason"), [(0, PRIVATE), (8, UNKNOWN)])
def test_where_there_are_no_images_the_page_says_why(result: EvaluationResult, requested: int, reason: str) -> None:
    assert reason in gallery_html(result, Gallery(requested))


def test_where_some_classes_are_shown_the_page_says_which(result: EvaluationResult) -> None:
    html = gallery_html(result, Gallery(8, (Choice(0, (), (1,)),), {1: VIEW}))
    assert "Shown are the 1 of 2 classes with the most mistakes" in html
