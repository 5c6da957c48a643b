"""A report: its folder with numbers, predictions, pictures and page, and its tables for the terminal."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from infer.config import ReportConfig
from infer.core.file_sets import FileSet, file_set
from infer.core.output_paths import file_in
from infer.core.text import shown
from infer.metrics import kinds
from infer.metrics.definition import Metric
from infer.metrics.metrics import ClassMetrics, Metrics, measure, normalized
from infer.metrics.result import EvaluationResult
from infer.reports.files import PAGE, PREDICTIONS, REPORT_JSON, remove_report
from infer.reports.many_classes import MOST_IN_TABLES, kinds_of_confusion, most_confused, worst_classes
from infer.reports.metric_text import stacked, summary_rows
from infer.reports.page import report_page
from infer.reports.pictures import draw_pictures
from infer.reports.provenance import Origin
from infer.reports.saved_report import VERSION, write_predictions
from infer.reports.thumbnails import Gallery

WIDE = 90
"""Columns of a terminal from which on the summary describes each metric."""
REFERENCES = {"accuracy": "majority_share", "calibration_error": "uncalibrated_error"}
"""Plain numbers in report.json, each after the metric that it is compared with."""


def save_report(
    result: EvaluationResult, folder: Path, config: ReportConfig, origin: Origin, gallery: Gallery
) -> Metrics:
    """Measure `result` and write its report into `folder`, replacing an earlier one. Raises OutputError."""
    with file_set(folder / REPORT_JSON) as files:
        return add_report(files, result, folder, config, origin, gallery)


def add_report(
    files: FileSet, result: EvaluationResult, folder: Path, config: ReportConfig, origin: Origin, gallery: Gallery
) -> Metrics:
    """Measure `result`, and add its report in `folder` to a set of files. Raises OutputError."""
    metrics = measure(result)
    text = json.dumps(report_json(result, metrics), indent=2, allow_nan=False) + "\n"
    contents = {REPORT_JSON: text.encode()}
    if config.pictures:
        pictures = draw_pictures(result, metrics, config.normalize, origin)
        contents |= {
            f"{picture.name}.{kind}": getattr(picture, kind) for picture in pictures for kind in ("png", "svg")
        }
        contents[PAGE] = report_page(result, metrics, pictures, gallery, origin).encode()
    for name, content in contents.items():
        files.write(file_in(folder, name), content)
    write_predictions(result, files, file_in(folder, PREDICTIONS), config.raw_csv)
    remove_report(files, folder, keep=(*contents, PREDICTIONS))
    return metrics


def report_json(result: EvaluationResult, metrics: Metrics) -> dict[str, Any]:
    """The content of `report.json`: each estimate as value, low and high, null where it is undefined."""
    point, threshold = result.operating_point, metrics.at_threshold
    return {
        "version": VERSION,
        "title": result.title,
        "classes": [asdict(item) for item in result.classes],
        "ordered": result.ordered,
        "temperature": result.temperature,
        "operating_point": asdict(point) if point else None,
        "images": metrics.images,
        "groups": metrics.groups,
        **_overall_json(metrics),
        "at_threshold": asdict(threshold) if threshold else None,
        "per_class": [_class_json(item) for item in metrics.per_class],
        "confusion": metrics.confusion.tolist(),
        "notes": list(metrics.notes),
        "confusion_layout": "rows: truth, columns: prediction",
        "given_notes": list(result.notes),
        **({"run_by": result.run_by} if result.run_by else {}),
    }


def _overall_json(metrics: Metrics) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for metric in kinds.overall(ordered=True):  # those of grades too, as null where classes are none
        content[metric.key] = asdict(metrics[metric.key]) if metric.key in metrics.estimates else None
        if reference := REFERENCES.get(metric.key):
            content[reference] = getattr(metrics, reference)
    return content


def _class_json(metrics: ClassMetrics) -> dict[str, Any]:
    return {metric.key: asdict(metrics[metric.key]) for metric in kinds.by_class()} | {"support": metrics.support}


def report_tables(result: EvaluationResult, metrics: Metrics, normalize: str, width: int) -> list[RichTable]:
    """The confusion matrix, the metrics of each class and the summary, for a terminal of `width` columns.

    With many classes: the most frequent confusions, and the metrics of the worst classes.
    """
    many = len(result.classes) > MOST_IN_TABLES
    return [
        _confusions_table(result, metrics) if many else _confusion_table(result, metrics, normalize),
        *_class_tables(result, metrics, width),
        _summary_table(result, metrics, width),
    ]


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


def _confusions_table(result: EvaluationResult, metrics: Metrics) -> RichTable:
    rows, total = most_confused(metrics), kinds_of_confusion(metrics)
    caption = f"the {len(rows)} most frequent of {total} confusions; the whole matrix is in {REPORT_JSON}"
    table = RichTable(caption=caption, caption_justify="left")
    for heading in ("truth", "prediction"):
        table.add_column(heading, overflow="fold")
    for heading in ("images", "share of the class"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        names = (Text(shown(str(result.classes[k]))) for k in (row.truth, row.predicted))
        table.add_row(*names, str(row.images), f"{row.share:.1%}")
    return table


def _class_tables(result: EvaluationResult, metrics: Metrics, width: int) -> list[RichTable]:
    """The metrics of each class, above their intervals, in as many tables as the width needs."""
    classes, columns = worst_classes(metrics), kinds.by_class()
    longest = min(24, max((len(shown(str(result.classes[k]))) for k in classes), default=0))
    fitting = max(1, (width - longest - 14) // 14)
    return [
        _class_table(result, metrics, classes, columns[start : start + fitting])
        for start in range(0, len(columns), fitting)
    ]


def _class_table(
    result: EvaluationResult, metrics: Metrics, classes: Sequence[int], columns: Sequence[Metric]
) -> RichTable:
    table = RichTable(show_lines=True)
    if len(classes) < len(result.classes):
        table.caption, table.caption_justify = (
            f"the {len(classes)} of {len(result.classes)} classes with the lowest F1; all are in {REPORT_JSON}",
            "left",
        )
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for metric in columns:
        table.add_column(metric.name, justify="right", min_width=11)
    for k in classes:
        item = metrics.per_class[k]
        cells = [stacked(item[metric.key]) for metric in columns]
        table.add_row(Text(shown(str(result.classes[k]))), str(item.support), *cells)
    return table


def _summary_table(result: EvaluationResult, metrics: Metrics, width: int) -> RichTable:
    """Each metric with its 95% interval and, where there is room, a description."""
    table = RichTable()
    table.add_column(f"{metrics.images} images" + (f", {metrics.groups} patients" if metrics.groups else ""))
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    if width >= WIDE:
        table.add_column(style="dim")
    for name, value, interval, description in summary_rows(result, metrics):
        table.add_row(name, value, interval, *([Text(description)] if width >= WIDE else []))
    return table


def _scale(normalize: str) -> str:
    shares = {"true": "shares of each row, the truth", "pred": "shares of each column, the prediction"}
    return shares.get(normalize, "shares of all images" if normalize == "all" else "numbers of images")


def _number(value: float, normalize: str) -> str:
    return f"{int(value)}" if normalize == "none" else f"{value:.3f}"
