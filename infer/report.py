"""A report folder: `report.json` and `confusion.png`; and the same as rich tables."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table as RichTable
from rich.text import Text

from infer.files import write_bytes, write_text
from infer.metrics import EvaluationResult, Metrics, measure, normalized
from infer.runs import REPORT_FILES
from infer.screen import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_report(result: EvaluationResult, folder: Path, normalize: str) -> Metrics:
    """Measure `result` and write its report into `folder`. Raises OutputError."""
    metrics = measure(result)
    names = [str(item) for item in result.classes]
    data: dict[str, Any] = {
        "title": result.title,
        "classes": [asdict(item) for item in result.classes],
        **asdict(metrics),
        "confusion": metrics.confusion.tolist(),
        "confusion_layout": "rows: truth, columns: prediction",
    }
    write_text(folder / REPORT_FILES[0], json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    write_bytes(folder / REPORT_FILES[1], _confusion_png(metrics, names, normalize, result.title))
    return metrics


def report_tables(result: EvaluationResult, metrics: Metrics, normalize: str) -> list[RichTable]:
    """The confusion matrix, the metrics per class and the summary, for the terminal."""
    return [_confusion_table(result, metrics, normalize), _class_table(result, metrics), _summary_table(metrics)]


def _confusion_table(result: EvaluationResult, metrics: Metrics, normalize: str) -> RichTable:
    values = normalized(metrics.confusion, normalize)
    table = RichTable(caption=_scale(normalize), caption_justify="left")
    table.add_column("truth ↓  prediction →")
    for item in result.classes:
        table.add_column(Text(shown(str(item))), justify="right")
    for row, item in enumerate(result.classes):
        cells = [_number(value, normalize) for value in values[row]]
        table.add_row(Text(shown(str(item))), *(Text(c, "bold" if k == row else "") for k, c in enumerate(cells)))
    return table


def _class_table(result: EvaluationResult, metrics: Metrics) -> RichTable:
    table = RichTable()
    table.add_column("class")
    for name in ("precision", "recall", "F1", "images"):
        table.add_column(name, justify="right")
    for item, one in zip(result.classes, metrics.per_class, strict=True):
        values = [f"{value:.3f}" for value in (one.precision, one.recall, one.f1)]
        table.add_row(Text(shown(str(item))), *values, str(one.support))
    return table


def _summary_table(metrics: Metrics) -> RichTable:
    table = RichTable(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("accuracy", f"{metrics.accuracy:.2%}", f"of {metrics.images} images")
    table.add_row("majority share", f"{metrics.majority_share:.2%}", "accuracy of one answer for all")
    table.add_row("balanced accuracy", f"{metrics.balanced_accuracy:.2%}", "mean recall")
    table.add_row("macro F1", f"{metrics.macro_f1:.3f}", "mean over classes")
    before = metrics.uncalibrated_error
    note = "of confidence from accuracy" if before is None else f"{before:.3f} without the model's temperature"
    table.add_row("calibration error", f"{metrics.calibration_error:.3f}", note)
    if metrics.kappa is not None:
        table.add_row("weighted kappa", f"{metrics.kappa:.3f}", "quadratic, for grades")
    return table


def _scale(normalize: str) -> str:
    shares = {"true": "shares of each row, the truth", "pred": "shares of each column, the prediction"}
    return shares.get(normalize, "shares of all images" if normalize == "all" else "numbers of images")


def _number(value: float, normalize: str) -> str:
    return f"{int(value)}" if normalize == "none" else f"{value:.3f}"


def _confusion_png(metrics: Metrics, names: list[str], normalize: str, title: str) -> bytes:
    from matplotlib.figure import Figure

    values = normalized(metrics.confusion, normalize)
    side = max(4.5, 1.4 + 0.75 * len(names))
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=max(values.max(), 1e-9))
    figure.colorbar(image, ax=axes, label=_scale(normalize), shrink=0.8)
    ticks = range(len(names))
    labels = [shown(name).replace("$", r"\$") for name in names]
    rotation = 45 if max(map(len, names)) > 8 else 0
    axes.set_xticks(ticks, labels, rotation=rotation, ha="right" if rotation else "center")
    axes.set_yticks(ticks, labels)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.set_title(shown(title).replace("$", r"\$"), fontsize="medium", wrap=True)
    for row in ticks:
        for column in ticks:
            dark = values[row, column] > 0.55 * values.max()
            text = _number(values[row, column], normalize)
            axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    return png(figure)


def png(figure: "Figure") -> bytes:
    """A figure as PNG bytes."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()
