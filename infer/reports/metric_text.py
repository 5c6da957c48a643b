"""Metrics as text: names, values, intervals and descriptions."""

from collections.abc import Iterator

from infer.core.text import shown
from infer.metrics import kinds
from infer.metrics.metrics import Estimate, Metrics
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard


def summary_rows(result: EvaluationResult, metrics: Metrics) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, interval and description of each metric of all classes together."""
    for metric in kinds.shown_order(kinds.overall(result.ordered)):
        format_estimate = percent if metric.percent else decimal
        yield metric.name, *format_estimate(metrics[metric.key]), metric.describe(result)
        if metric.key == "accuracy":
            yield (
                "majority-class baseline",
                f"{metrics.majority_share:.2%}",
                "",
                "always predicting the most frequent class",
            )
    if at := metrics.at_threshold:
        chosen = f"class {shown(str(result.classes[at.positive]))}; threshold from {at.chosen_on}"
        yield f"sensitivity at {at.threshold:.3g}", *percent(at.sensitivity), chosen
        yield f"specificity at {at.threshold:.3g}", *percent(at.specificity), chosen


def decimal(estimate: Estimate) -> tuple[str, str]:
    """An estimate and its interval as decimal fractions."""
    return _text(estimate, "{:.3f}", "{:.3f} to {:.3f}")


def percent(estimate: Estimate) -> tuple[str, str]:
    """An estimate and its interval in percent."""
    return _text(estimate, "{:.2%}", "{:.1%} to {:.1%}")


def stacked(estimate: Estimate) -> str:
    """An estimate above its interval, for a narrow column."""
    return "\n".join(_text(estimate, "{:.3f}", "{:.3f}-{:.3f}"))


def _text(estimate: Estimate, value: str, interval: str) -> tuple[str, str]:
    """An estimate and its interval in these formats; a dash where it is undefined."""
    if estimate.value is None:
        return "-", ""
    known = estimate.low is not None and estimate.high is not None
    return value.format(estimate.value), interval.format(estimate.low, estimate.high) if known else ""


def describe_threshold(card: ModelCard) -> str:
    """The card's threshold and what it was chosen on, or why there is none."""
    point = card.operating_point
    if point is None:
        return "none" if len(card.classes) == 2 else "none, as there are more than two classes"
    return f"{point.threshold:.4f} of {card.classes[1]}, by Youden's index on {point}"
