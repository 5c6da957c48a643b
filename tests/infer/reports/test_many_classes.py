"""With many classes, tables show the worst and what they are confused with; files hold all of them."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import origin, random_result, save
from rich.console import Console

from infer.metrics.metrics import Metrics, measure
from infer.metrics.result import EvaluationResult
from infer.reports.many_classes import MOST_IN_TABLES, kinds_of_confusion, most_confused, worst_classes
from infer.reports.page import report_page
from infer.reports.report import report_tables
from infer.reports.saved_report import read_report
from infer.reports.thumbnails import Gallery


def pair(classes: int, images: int = 400) -> tuple[EvaluationResult, Metrics]:
    result = random_result(classes, images)
    return result, measure(result, resamples=0)


def printed(result: EvaluationResult, metrics: Metrics, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(*report_tables(result, metrics, "none", width), sep="\n")
    return text.getvalue()


def test_the_worst_classes_are_those_with_the_lowest_f1_that_occur() -> None:
    result, _ = pair(30)
    metrics = measure(replace(result, truth=np.where(result.truth == 3, 4, result.truth)), resamples=0)
    scores = [item["f1"].value for item in metrics.per_class]
    worst = worst_classes(metrics)
    assert len(worst) == MOST_IN_TABLES
    assert 3 not in worst
    assert [scores[k] for k in worst] == sorted(scores[k] for k in range(30) if k != 3)[:MOST_IN_TABLES]


def test_few_classes_are_all_shown_in_their_order() -> None:
    assert worst_classes(pair(MOST_IN_TABLES)[1]) == list(range(MOST_IN_TABLES))


def test_the_most_frequent_confusions_come_first_with_their_share_of_the_class() -> None:
    _, metrics = pair(30)
    confusions = most_confused(metrics)
    wrong = metrics.confusion - np.diag(np.diag(metrics.confusion))
    assert [item.images for item in confusions] == sorted(wrong.ravel(), reverse=True)[:20]
    for item in confusions:
        assert item.truth != item.predicted
        assert metrics.confusion[item.truth, item.predicted] == item.images
        assert item.share == item.images / metrics.confusion[item.truth].sum()
    assert kinds_of_confusion(metrics) == (wrong > 0).sum()


def test_where_all_images_are_right_nothing_is_confused() -> None:
    result, _ = pair(30)
    right = measure(replace(result, probabilities=np.eye(30, dtype=np.float32)[result.truth]), resamples=0)
    assert most_confused(right) == []
    assert kinds_of_confusion(right) == 0


@pytest.mark.parametrize("width", [80, 120])
def test_printed_tables_of_many_classes_fit_and_say_where_the_rest_is(width: int) -> None:
    result, metrics = pair(100)
    text = printed(result, metrics, width)
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) < 200
    words = " ".join(text.split())
    assert (
        f"the 20 most frequent of {kinds_of_confusion(metrics)} confusions; the whole matrix is in report.json" in words
    )
    assert "the 20 of 100 classes with the lowest F1; all are in report.json" in words
    assert str(result.classes[worst_classes(metrics)[0]]) in text


def test_the_page_shows_the_worst_classes_and_holds_all_of_them_folded_away() -> None:
    result, metrics = pair(100)
    page = report_page(result, metrics, [], Gallery(0), origin(result))
    assert "The 20 of 100 classes with the lowest F1." in page
    shown, _, folded = page.partition("<details><summary>All 100 classes</summary>")
    assert shown.count('data-value="') == 20 * 7
    assert folded.partition("</details>")[0].count('data-value="') == 100 * 7
    assert "Most frequent confusions" in folded
    assert "The confusion matrix as a table" not in page
    assert "class 11: 7 and 88 more" in page  # of the training images
    assert "11 class 11 and 88 more" in page
    assert len(page) < 1_000_000


def test_a_report_on_many_classes_holds_every_class_and_its_pictures_stay_small(
    tmp_path: Path, all_pictures: None
) -> None:
    result = random_result(60, 300)
    metrics = save(result, tmp_path)
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert len(content["per_class"]) == len(content["confusion"]) == 60
    assert content["macro_f1"]["low"] < content["macro_f1"]["value"] < content["macro_f1"]["high"]
    np.testing.assert_array_equal(read_report(tmp_path).probabilities, result.probabilities)
    assert metrics.confusion.sum() == 300
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.suffix in (".png", ".svg")}
    assert len(sizes) == 12
    assert max(sizes.values()) < 300_000, sizes
