"""What --json prints of a prediction."""

from pathlib import Path

from helpers.results import random_result

from infer.core.errors import ImageError
from infer.metrics.metrics import measure
from infer.predict_result import PredictResult


def test_without_a_report_it_is_the_csv_its_rows_and_what_is_to_know_about_them() -> None:
    bad = (ImageError("b.png", "damaged"),)
    assert PredictResult(3, bad).to_json(Path("o.csv")) == {"csv": "o.csv", "rows": 3, "unreadable": ["b.png"]}
    assert PredictResult(3, (), ("m.onnx was changed",)).to_json(Path("o.csv"))["notes"] == ["m.onnx was changed"]


def test_with_a_report_it_is_the_reports_figures_too() -> None:
    result = random_result(2, 20)
    whole = PredictResult(20, (), (), result, measure(result)).to_json(Path("a/s.csv"))
    assert (whole["report"], whole["rows"], whole["images"], whole["unreadable"]) == ("a/s.report", 20, 20, [])
    assert whole["accuracy"]["value"] == float((result.predicted == result.truth).mean())
