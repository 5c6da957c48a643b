"""A report folder: numbers, predictions, pictures and a page; and the same as rich tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from infer.config import ReportConfig
from infer.core.files import write_bytes
from infer.core.text import shown
from infer.metrics.metrics import Metrics, measure, normalized
from infer.metrics.result import EvaluationResult
from infer.reports.files import PAGE, PREDICTIONS, REPORT_JSON, remove_report
from infer.reports.metric_text import CLASS_COLUMNS, stacked, summary_rows
from infer.reports.page import report_page
from infer.reports.pictures import draw_pictures
from infer.reports.provenance import Origin
from infer.reports.saved_report import VERSION, write_predictions
from infer.reports.thumbnails import Gallery

WIDE = 90
"""Columns from which on the summary explains itself."""


def save_report(
    result: EvaluationResult, folder: Path, config: ReportConfig, origin: Origin, gallery: Gallery
) -> Metrics:
    """Measure `result` and write its report into `folder`, in place of an earlier one's. Raises OutputError."""
    metrics = measure(result)
    data = json.dumps(report_json(result, metrics), indent=2, allow_nan=False) + "\n"
    files = {REPORT_JSON: data.encode()}
    if config.pictures:
        pictures = draw_pictures(result, metrics.confusion, config.normalize, origin)
        files |= {f"{one.name}.{kind}": getattr(one, kind) for one in pictures for kind in ("png", "svg")}
        files[PAGE] = report_page(result, metrics, pictures, gallery, origin).encode()
    for name, content in files.items():  # at the end, so that what fails before leaves no half of a report
        write_bytes(folder / name, content)
    write_predictions(result, folder / PREDICTIONS)
    remove_report(folder, keep=(*files, PREDICTIONS))
    return metrics


def report_json(result: EvaluationResult, metrics: Metrics) -> dict[str, Any]:
    """What `report.json` holds, in JSON's own types: each estimate as value, low and high, null where undefined."""
    point = result.operating_point
    return {
        "version": VERSION,
        "title": result.title,
        "classes": [asdict(item) for item in result.classes],
        "ordered": result.ordered,
        "temperature": result.temperature,
        "operating_point": asdict(point) if point else None,
        **asdict(metrics),
        "confusion": metrics.confusion.tolist(),
        "confusion_layout": "rows: truth, columns: prediction",
        "given_notes": list(result.notes),
    }


def report_tables(result: EvaluationResult, metrics: Metrics, normalize: str, width: int) -> list[RichTable]:
    """The confusion matrix, the metrics per class and the summary, for a terminal of so many columns."""
    return [
        _confusion_table(result, metrics, normalize),
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


def _class_tables(result: EvaluationResult, metrics: Metrics, width: int) -> list[RichTable]:
    """The metrics of each class, over their intervals, in as many tables as the width asks for."""
    longest = min(24, max(len(shown(str(item))) for item in result.classes))
    fitting = max(1, (width - longest - 14) // 14)
    return [
        _class_table(result, metrics, CLASS_COLUMNS[first : first + fitting])
        for first in range(0, len(CLASS_COLUMNS), fitting)
    ]


def _class_table(result: EvaluationResult, metrics: Metrics, columns: Sequence[tuple[str, str]]) -> RichTable:
    table = RichTable(show_lines=True)
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", min_width=11)
    for item, one in zip(result.classes, metrics.per_class, strict=True):
        cells = [stacked(getattr(one, field)) for _, field in columns]
        table.add_row(Text(shown(str(item))), str(one.support), *cells)
    return table


def _summary_table(result: EvaluationResult, metrics: Metrics, width: int) -> RichTable:
    """A metric a line, with its 95% interval; and, where there is room, what it is."""
    table = RichTable()
    table.add_column(f"{metrics.images} images" + (f", {metrics.groups} patients" if metrics.groups else ""))
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    if width >= WIDE:
        table.add_column(style="dim")
    for name, value, interval, note in summary_rows(result, metrics):
        table.add_row(name, value, interval, *([Text(note)] if width >= WIDE else []))
    return table


def _scale(normalize: str) -> str:
    shares = {"true": "shares of each row, the truth", "pred": "shares of each column, the prediction"}
    return shares.get(normalize, "shares of all images" if normalize == "all" else "numbers of images")


def _number(value: float, normalize: str) -> str:
    return f"{int(value)}" if normalize == "none" else f"{value:.3f}"
