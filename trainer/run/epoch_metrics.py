"""The metrics that every epoch computes, and the lines and columns that show them."""

from collections.abc import Mapping
from dataclasses import replace

from infer.core.errors import ConfigError
from infer.core.text import duration, listed
from infer.dataset.table import VALID, Table
from infer.metrics.metrics import metric_values
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard, class_index
from trainer.config import ResolvedConfig
from trainer.run.epoch import EpochResult
from trainer.run.snapshot import HistoryRow

COMPUTED_IN = "computed_in"
"""In the card's validation figures: the arithmetic of training, where it is not that of the exported file."""
EPOCH_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
"""Metrics that every epoch computes: a GPU waits meanwhile. The report of the best epoch has all of them."""
Values = Mapping[str, float]
"""Metrics by name; NaN where one is undefined."""


def monitored_metric(name: str, table: Table) -> str:
    """The name of the monitored metric's value. Raises ConfigError for an unknown class, or one without images."""
    if not name.startswith("recall:"):
        return {"accuracy": "accuracy", "balanced-accuracy": "balanced_accuracy", "f1": "macro_f1"}[name]
    indices, class_name = class_index(table.classes), name.removeprefix("recall:")
    if class_name not in indices:
        raise ConfigError(f"--monitor {name}: the classes are {listed([str(item) for item in table.classes])}")
    if VALID in table.splits and not table.counts(VALID)[indices[class_name]]:
        raise ConfigError(f"--monitor {name}: no validation image is of that class; monitor another metric")
    return f"recall {indices[class_name]}"


def epoch_values(result: EvaluationResult, monitored: str) -> Values:
    """The metrics of an epoch's validation, and the monitored one, as `monitored_metric` names it."""
    values = metric_values(result, (*EPOCH_METRICS, monitored.partition(" ")[0]))
    return {name: float("nan") if value is None else value for name, value in values.items()}


def with_validation(
    card: ModelCard, epoch: int, images: int, values: Values, computed_in: Mapping[str, str]
) -> ModelCard:
    """The card with an epoch's figures on the validation images."""
    metrics = {name: values[name] for name in EPOCH_METRICS}
    validation = {"epoch": epoch, "images": images, **metrics, **computed_in}
    return replace(card, provenance={**card.provenance, "validation": validation})


def history_row(epoch: EpochResult, values: Values, monitored: float, improved: bool) -> HistoryRow:
    """An epoch's row of history.csv."""
    return {
        "epoch": epoch.number,
        "learning_rate": epoch.learning_rate,
        "train_loss": epoch.train_loss,
        "train_accuracy": epoch.train_accuracy,
        "valid_loss": epoch.valid_loss,
        "valid_accuracy": values["accuracy"],
        "valid_balanced_accuracy": values["balanced_accuracy"],
        "valid_f1": values["macro_f1"],
        "monitored": monitored,
        "best": int(improved),
        "seconds": round(epoch.seconds, 3),
        "images_per_second": round(epoch.images_per_second, 1),
    }


def epoch_line(epoch: EpochResult, values: Values, settings: ResolvedConfig, monitored: float, improved: bool) -> str:
    """An epoch's line for the terminal."""
    other = "" if settings.monitor == "accuracy" else f"  {settings.monitor} {monitored:.2%}"
    return (
        f"epoch {epoch.number:3}  loss {epoch.train_loss:.4f} valid {epoch.valid_loss:.4f}  "
        f"accuracy {epoch.train_accuracy:.2%} valid {values['accuracy']:.2%}{other}  "
        f"{epoch.images_per_second:.0f} images/s  {duration(epoch.seconds)}{'  best' if improved else ''}"
    )
