"""Metrics as people read them: names, values, intervals, and what each is."""

from collections.abc import Iterator

from infer.core.text import shown
from infer.metrics.metrics import Estimate, Metrics
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "matthews": "Matthews correlation",
    "kappa": "weighted kappa",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
"""Of the metrics' fields."""
CLASS_COLUMNS = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("specificity", "specificity"),
    ("F1", "f1"),
    ("ROC AUC", "roc_auc"),
    ("average precision", "average_precision"),
)
"""Heading and field of the metrics per class."""


def summary_rows(result: EvaluationResult, metrics: Metrics) -> Iterator[tuple[str, str, str, str]]:
    """Of each metric: its name, value, interval and what it is, for people."""
    names = [shown(str(item)) for item in result.classes]
    ranked = f"of class {names[1]}" if len(names) == 2 else "each class against the rest, mean"
    before = metrics.uncalibrated_error
    told = "of confidence from accuracy" if before is None else f"{before:.3f} without the model's temperature"
    yield NAMES["accuracy"], *percent(metrics.accuracy), "of all images"
    yield "majority share", f"{metrics.majority_share:.2%}", "", "accuracy of one answer for all"
    yield NAMES["balanced_accuracy"], *percent(metrics.balanced_accuracy), "mean recall"
    notes = {
        "macro_f1": "mean over classes",
        "weighted_f1": "weighted by images",
        "matthews": "0 is chance",
        "kappa": "quadratic, for grades",
        "roc_auc": ranked,
        "average_precision": ranked,
        "log_loss": "0 is best",
        "brier": "0 is best",
        "calibration_error": told,
    }
    for field, note in notes.items():
        if (estimate := getattr(metrics, field)) is not None:
            yield NAMES[field], *decimal(estimate), note
    if at := metrics.at_threshold:
        chosen = f"class {names[at.positive]}; threshold of {at.chosen_on}"
        yield f"sensitivity at {at.threshold:.3g}", *percent(at.sensitivity), chosen
        yield f"specificity at {at.threshold:.3g}", *percent(at.specificity), chosen


def decimal(estimate: Estimate) -> tuple[str, str]:
    """An estimate and its interval, for people."""
    return _text(estimate, "{:.3f}", "{:.3f} to {:.3f}")


def percent(estimate: Estimate) -> tuple[str, str]:
    """A share and its interval, for people."""
    return _text(estimate, "{:.2%}", "{:.1%} to {:.1%}")


def stacked(estimate: Estimate) -> str:
    """An estimate over its interval, for a narrow column."""
    return "\n".join(_text(estimate, "{:.3f}", "{:.3f}-{:.3f}"))


def _text(estimate: Estimate, value: str, interval: str) -> tuple[str, str]:
    """An estimate for people: a dash where it is undefined."""
    if estimate.value is None:
        return "-", ""
    known = estimate.low is not None and estimate.high is not None
    return value.format(estimate.value), interval.format(estimate.low, estimate.high) if known else ""


def threshold_in_words(card: ModelCard) -> str:
    """The card's threshold and what it was chosen on, or why there is none."""
    point = card.operating_point
    if point is None:
        return "none" if len(card.classes) == 2 else "none, as there are several classes"
    return f"{point.threshold:.4f} of {card.classes[1]}, by Youden's index on {point}"
