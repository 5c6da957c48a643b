"""Numbers as people read them."""

from dataclasses import replace

import numpy as np
import pytest

from infer.metrics.metrics import Estimate, measure
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName, OperatingPoint
from infer.reports.metric_text import decimal, percent, stacked, summary_rows

RESULT = EvaluationResult(
    title="t",
    classes=(ClassName("normal", "0"), ClassName("[b]blast[/b]", "1")),
    ordered=False,
    paths=tuple("abcdef"),
    truth=np.array([0, 0, 0, 1, 1, 1]),
    probabilities=np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]], dtype=np.float32),
)


@pytest.mark.parametrize(
    ("estimate", "as_decimal", "as_percent", "in_two_lines"),
    [
        (Estimate(0.5, 0.25, 0.75), ("0.500", "0.250 to 0.750"), ("50.00%", "25.0% to 75.0%"), "0.500\n0.250-0.750"),
        (Estimate(0.5), ("0.500", ""), ("50.00%", ""), "0.500\n"),
        (Estimate(None), ("-", ""), ("-", ""), "-\n"),
    ],
)
def test_an_estimate_is_its_value_and_its_interval_or_a_dash(
    estimate: Estimate, as_decimal: tuple[str, str], as_percent: tuple[str, str], in_two_lines: str
) -> None:
    assert decimal(estimate) == as_decimal
    assert percent(estimate) == as_percent
    assert stacked(estimate) == in_two_lines


def test_metrics_that_do_not_apply_have_no_row() -> None:
    plain = [row[0] for row in summary_rows(RESULT, measure(RESULT, resamples=0))]
    assert "weighted kappa" not in plain
    assert not [name for name in plain if name.startswith("sensitivity")]
    point = OperatingPoint(threshold=0.65, images=40, groups=None)
    full = replace(RESULT, ordered=True, operating_point=point)
    rows = {row[0]: row for row in summary_rows(full, measure(full, resamples=0))}
    assert rows["weighted kappa"][1] == "0.667"
    assert rows["sensitivity at 0.65"][1] == "66.67%"
    assert "class 1 [b]blast[/b]" in rows["specificity at 0.65"][3]
