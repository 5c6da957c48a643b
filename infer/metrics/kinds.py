"""The metrics of a report, one row each. report.json, the tables, the page and `lab compare` are made from these rows.

To add a metric, see the recipe in CONTRIBUTING.md.
"""

import math
from collections.abc import Sequence

import numpy as np

from infer.core.text import shown
from infer.metrics import point_values, resampled
from infer.metrics.definition import Basis, Metric, Share, Statistic
from infer.metrics.result import EvaluationResult


def _ranked_classes(result: EvaluationResult) -> str:
    if len(result.classes) == 2:
        return f"of class {shown(str(result.classes[1]))}"
    return "each class against the rest, mean"


def _calibration(result: EvaluationResult) -> str:
    before = point_values.uncalibrated_error(result.probabilities, result.truth, result.temperature)
    return "of confidence from accuracy" if before is None else f"{before:.3f} without the model's temperature"


METRICS: Sequence[Metric] = (
    Metric(
        key="accuracy",
        name="accuracy",
        description="of all images",
        computation=Share(masks=lambda sample, _: (sample.predicted == sample.truth, sample.truth >= 0)),
        percent=True,
    ),
    Metric(
        key="balanced_accuracy",
        name="balanced accuracy",
        description="mean recall",
        computation=Statistic(
            value=point_values.balanced_accuracy,
            resampled=resampled.balanced_accuracy,
            basis=Basis.RAREST_CLASS,
            mean_of_classes=True,
        ),
        percent=True,
    ),
    Metric(
        key="macro_f1",
        name="macro F1",
        description="mean over classes",
        computation=Statistic(
            value=point_values.macro_f1,
            resampled=resampled.macro_f1,
            basis=Basis.RAREST_CLASS,
            mean_of_classes=True,
        ),
    ),
    Metric(
        key="weighted_f1",
        name="weighted F1",
        description="weighted by images",
        computation=Statistic(value=point_values.weighted_f1, resampled=resampled.weighted_f1, basis=Basis.ALL),
    ),
    Metric(
        key="matthews",
        name="Matthews correlation",
        description="0 is chance",
        computation=Statistic(value=point_values.matthews, resampled=resampled.matthews, basis=Basis.RAREST_CLASS),
        limits=lambda classes: (-1.0, 1.0),
    ),
    Metric(
        key="roc_auc",
        name="ROC AUC",
        description=_ranked_classes,
        computation=Statistic(value=point_values.roc_auc, resampled=resampled.roc_auc, basis=Basis.RARER_SIDE),
        of_probabilities=True,
    ),
    Metric(
        key="average_precision",
        name="average precision",
        description=_ranked_classes,
        computation=Statistic(
            value=point_values.average_precision, resampled=resampled.average_precision, basis=Basis.RARER_SIDE
        ),
        of_probabilities=True,
    ),
    Metric(
        key="kappa",
        name="weighted kappa",
        description="quadratic, for grades",
        computation=Statistic(value=point_values.kappa, resampled=resampled.kappa, basis=Basis.RAREST_CLASS),
        limits=lambda classes: (-1.0, 1.0),
        grades_only=True,
    ),
    Metric(
        key="log_loss",
        name="log loss",
        description="0 is best",
        computation=Statistic(
            value=lambda sample: float(sample.losses[0].mean()), resampled=resampled.log_loss, basis=Basis.ALL
        ),
        limits=lambda classes: (0.0, -math.log(np.finfo(np.float64).eps)),  # of a probability as scikit-learn clips it
        higher_is_better=False,
        of_probabilities=True,
    ),
    Metric(
        key="brier",
        name="Brier score",
        description="0 is best",
        computation=Statistic(
            value=lambda sample: float(sample.losses[1].mean()), resampled=resampled.brier, basis=Basis.ALL
        ),
        limits=lambda classes: (0.0, 1.0 if classes == 2 else 2.0),
        higher_is_better=False,
        of_probabilities=True,
    ),
    Metric(
        key="calibration_error",
        name="calibration error",
        description=_calibration,
        computation=Statistic(
            value=lambda sample: point_values.calibration_error(sample.probabilities, sample.truth),
            resampled=resampled.calibration_gaps,
            basis=Basis.ALL,
        ),
        higher_is_better=False,
        of_probabilities=True,
        compared=False,  # noise lengthens that of both models, so that no interval of their difference is worth much
    ),
    Metric(
        key="precision",
        name="precision",
        computation=Share(masks=lambda sample, k: (sample.truth == k, sample.predicted == k)),
        by_class=True,
    ),
    Metric(
        key="recall",
        name="recall",
        computation=Share(masks=lambda sample, k: (sample.predicted == k, sample.truth == k)),
        by_class=True,
    ),
    Metric(
        key="specificity",
        name="specificity",
        computation=Share(masks=lambda sample, k: (sample.predicted != k, sample.truth != k)),
        by_class=True,
    ),
    Metric(
        key="f1",
        name="F1",
        computation=Statistic(
            value=lambda sample: sample.class_f1, resampled=lambda draws: draws.class_f1, basis=Basis.RAREST_CLASS
        ),
        by_class=True,
    ),
    Metric(
        key="roc_auc",
        name="ROC AUC",
        computation=Statistic(
            value=lambda sample: sample.class_ranking[0],
            resampled=lambda draws: draws.class_ranking[0],
            basis=Basis.RARER_SIDE,
        ),
        by_class=True,
    ),
    Metric(
        key="average_precision",
        name="average precision",
        computation=Statistic(
            value=lambda sample: sample.class_ranking[1],
            resampled=lambda draws: draws.class_ranking[1],
            basis=Basis.RARER_SIDE,
        ),
        by_class=True,
    ),
)


def overall(ordered: bool) -> list[Metric]:
    """The metrics of all classes together, in the order of report.json; `ordered`: whether classes are grades."""
    return [metric for metric in METRICS if not metric.by_class and (ordered or not metric.grades_only)]


def shown_order(metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics in the order of tables: those of predicted classes before those of probabilities."""
    return sorted(metrics, key=lambda metric: metric.of_probabilities)


def by_class() -> list[Metric]:
    """The metrics of each class."""
    return [metric for metric in METRICS if metric.by_class]
