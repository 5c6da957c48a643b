"""A metric is one row: added to the table, it is in report.json, in the tables, on the page and in lab compare."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import named, origin, random_result, save
from rich.console import Console

from infer.metrics import kinds
from infer.metrics.definition import Basis, Metric, Share, Statistic
from infer.metrics.metrics import measure
from infer.reports.model_comparison import ModelComparison, model_tables, models_json
from infer.reports.page import report_page
from infer.reports.report import report_tables
from infer.reports.thumbnails import Gallery

DOCS = Path(__file__).parents[3] / "docs" / "report.md"
MEAN_CONFIDENCE = Metric(
    key="true_probability",
    name="true probability",
    description="of the true class, mean",
    computation=Statistic(
        value=lambda sample: float(np.exp(-sample.losses[0]).mean()),
        resampled=lambda draws: draws.weights @ np.exp(-draws.predictions.losses[0]) / draws.total,
        basis=Basis.ALL,
    ),
)
NEGATIVE_PREDICTIVE_VALUE = Metric(
    key="npv",
    name="NPV",
    computation=Share(masks=lambda sample, k: (sample.truth != k, sample.predicted != k)),
    by_class=True,
)


@pytest.fixture
def two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "METRICS", (*kinds.METRICS, MEAN_CONFIDENCE, NEGATIVE_PREDICTIVE_VALUE))


def printed(*tables: object) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(*tables, sep="\n")
    return text.getvalue()


def test_a_new_metric_is_in_the_report_and_its_tables_and_on_its_page(two_more: None, tmp_path: Path) -> None:
    result = random_result(2, 60)
    metrics = save(result, tmp_path, pictures=False)
    saved = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    expected = result.probabilities[np.arange(60), result.truth].mean()
    assert saved["true_probability"]["value"] == pytest.approx(expected)
    assert saved["true_probability"]["low"] < expected < saved["true_probability"]["high"]
    assert saved["per_class"][1]["npv"]["value"] == np.mean(result.truth[result.predicted != 1] != 1)
    tables = printed(*report_tables(result, metrics, "none", 120))
    assert re.search(rf"true probability +│ +{expected:.3f} │ 0\.\d+ to 0\.\d+ +│ of the true class, mean", tables)
    assert "NPV" in tables
    page = report_page(result, metrics, [], Gallery(0), origin(result))
    assert (
        f'true probability<span class="note">of the true class, mean</span></th><td class="number">{expected:.3f}'
        in page
    )
    assert '<th scope="col" class="number">NPV</th>' in page


def test_a_new_metric_is_compared_between_models(two_more: None) -> None:
    first, second = random_result(2, 60, 1), random_result(2, 60, 2)
    second = replace(second, truth=first.truth)
    comparison = ModelComparison.of(["a", "b"], [first, second])
    content = models_json(comparison)
    values = [model["true_probability"] for model in content["models"]]
    difference = content["differences"][0]["metrics"]["true_probability"]
    assert difference["value"] == pytest.approx(values[1] - values[0])
    assert difference["low"] < difference["value"] < difference["high"]
    assert "npv" not in content["models"][0]
    assert printed(*model_tables(comparison)).count("true probability") == 2


def test_keys_are_unique_among_metrics_of_all_classes_and_among_those_of_each() -> None:
    for metrics in (kinds.overall(ordered=True), kinds.by_class()):
        keys = [metric.key for metric in metrics]
        assert len(set(keys)) == len(keys) > 5


def test_metrics_of_grades_are_for_grades_and_those_of_probabilities_are_shown_last() -> None:
    assert {metric.key for metric in kinds.overall(True)} - {metric.key for metric in kinds.overall(False)} == {"kappa"}
    keys = [metric.key for metric in kinds.shown_order(kinds.overall(ordered=True))]
    assert keys.index("kappa") == keys.index("roc_auc") - 1


def test_descriptions_name_the_positive_class_and_the_error_before_calibration() -> None:
    describe = {metric.key: metric.describe for metric in kinds.overall(ordered=False)}
    two = named(random_result(2, 40), ("a", "b\nc"))
    assert describe["roc_auc"](two) == "of class 1 b\\nc"
    assert describe["roc_auc"](random_result(3, 40)) == "each class against the rest, mean"
    assert describe["calibration_error"](two) == "of confidence from accuracy"
    warm = replace(two, temperature=2.0)
    before = measure(warm, resamples=0).uncalibrated_error
    assert describe["calibration_error"](warm) == f"{before:.3f} without the model's temperature"


def test_every_metric_is_explained_in_the_documentation() -> None:
    table = DOCS.read_text(encoding="utf-8")
    for metric in kinds.METRICS:
        assert re.search(rf"^\|[^|]*\b{re.escape(metric.name)}\b[^|]*\|", table, re.MULTILINE), metric.name
