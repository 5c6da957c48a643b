"""Several models on the same images: their metrics, confusion matrices and disagreements."""

import string
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from infer.core.text import shown
from infer.metrics.definition import Metric
from infer.metrics.metrics import Estimate, Metrics, measure
from infer.metrics.paired import compared, differences, in_common, verdict
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName
from infer.reports.figures import MOST_IN_FULL, MOST_NAMED, axis_label, draw_matrix
from infer.reports.plot_style import new_figure, plot_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_PRINTED = 10
"""Images on which models disagree that are printed; the CSV has all of them."""
ACROSS = 3
"""Confusion matrices side by side in the picture."""
MOST_COLUMNS = 24
"""Columns of the confusion matrices side by side in a terminal; with more, they are only in the picture."""


@dataclass(frozen=True)
class ModelComparison:
    """m models on the n images that all of them have predicted."""

    names: tuple[str, ...]
    """[m] for people."""
    results: tuple[EvaluationResult, ...]
    metrics: tuple[Metrics, ...]
    """[m] on these images, without intervals."""
    differences_from_first: tuple[dict[str, Estimate], ...]
    """[m - 1] for each other model: its metrics minus the first one's, by key."""

    @classmethod
    def of(cls, names: Sequence[str], results: Sequence[EvaluationResult]) -> "ModelComparison":
        """Compare two or more results. Raises DataError where they cannot be compared."""
        shared = in_common(results)
        return cls(
            names=tuple(names),
            results=tuple(shared),
            metrics=tuple(measure(result, resamples=0) for result in shared),
            differences_from_first=tuple(differences(shared[0], other) for other in shared[1:]),
        )

    @property
    def letters(self) -> Sequence[str]:
        """[m] A, B, ... Z, AA, AB, ..."""
        letters = string.ascii_uppercase
        return [(letters[k // 26 - 1] if k >= 26 else "") + letters[k % 26] for k in range(len(self.names))]

    def legend(self) -> str:
        """A line for each model: its letter and its name."""
        return "\n".join(f"{letter}: {shown(name)}" for letter, name in zip(self.letters, self.names, strict=True))

    def disagreements(self) -> NDArray[np.int64]:
        """The images on which models disagree, those first on which the least confident model is most confident."""
        predicted = np.array([result.predicted for result in self.results])
        rows = np.flatnonzero((predicted != predicted[0]).any(axis=0))
        confidence = np.array([result.probabilities[rows].max(axis=1) for result in self.results]).min(axis=0)
        return rows[np.argsort(-confidence, kind="stable")]


def model_tables(comparison: ModelComparison) -> list[RichTable]:
    """Metrics, differences, confusion matrices side by side, and disagreements, for the terminal."""
    columns = len(comparison.names) * len(comparison.results[0].classes)
    return [
        _metrics_table(comparison),
        *(_difference_table(comparison, index) for index in range(1, len(comparison.names))),
        *([_confusion_tables(comparison)] if columns <= MOST_COLUMNS else []),
        _disagreement_table(comparison),
    ]


def models_json(comparison: ModelComparison) -> dict[str, Any]:
    """The same as an object of JSON; null where a metric is undefined."""
    return {
        "images": len(comparison.results[0].truth),
        "models": [
            {
                "name": name,
                **{m.key: metrics[m.key].value for m in compared(result.ordered)},
                "confusion": metrics.confusion.tolist(),
            }
            for name, result, metrics in zip(comparison.names, comparison.results, comparison.metrics, strict=True)
        ],
        "differences": [
            {
                "model": name,
                "less": comparison.names[0],
                "metrics": {
                    metric.key: {**asdict(differences[metric.key]), "better": verdict(metric, differences[metric.key])}
                    for metric in compared(ordered=True)
                    if metric.key in differences
                },
            }
            for name, differences in zip(comparison.names[1:], comparison.differences_from_first, strict=True)
        ],
        "disagreements": len(comparison.disagreements()),
    }


def disagreement_rows(comparison: ModelComparison) -> Iterator[list[object]]:
    """A header, then a row for each image on which models disagree, with each model's class and its probability."""
    labels = [item.label for item in comparison.results[0].classes]
    columns = [f"{letter} {column}" for letter in comparison.letters for column in ("predicted", "probability")]
    yield ["path", "truth", "group", *columns]
    first = comparison.results[0]
    for row in comparison.disagreements():
        cells = [
            cell
            for result in comparison.results
            for cell in (labels[result.predicted[row]], result.probabilities[row].max())
        ]
        yield [first.paths[row], labels[first.truth[row]], first.groups[row] if first.groups else "", *cells]


def confusions_figure(comparison: ModelComparison) -> "Figure":
    """The confusion matrices side by side on one scale: shares of each row, the truth. Draw within `plain_style`."""
    matrices = [metrics.confusion for metrics in comparison.metrics]
    count = len(comparison.results[0].classes)
    side = max(2.6, 0.9 + 0.62 * count) if count <= MOST_IN_FULL else 6.0
    across = min(len(matrices), ACROSS)
    down = -(-len(matrices) // across)
    figure = new_figure(side * across + 0.8, (side + 0.6) * down)
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes in panels[len(matrices) :]:
        axes.set_axis_off()
    for axes, letter, name, counts in zip(panels, comparison.letters, comparison.names, matrices, strict=False):
        image = _draw_matrix(axes, comparison, counts)
        axes.set_title(f"{letter}: {plot_text(name, 28)}", fontsize="small")
    for axes in panels[: len(matrices) : across]:
        axes.set_ylabel(axis_label("truth", count))
    figure.colorbar(image, ax=panels, label="share of each row", shrink=0.8)
    return figure


def _draw_matrix(axes: "Axes", comparison: ModelComparison, counts: NDArray[np.int64]) -> "AxesImage":
    """One confusion matrix; names and counts as far as there is room for them."""
    count, in_full = len(counts), len(counts) <= MOST_IN_FULL
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image, _ = draw_matrix(axes, shares, 1.0)
    if count <= MOST_NAMED:
        names = [plot_text(str(item), 14) for item in comparison.results[0].classes]
        axes.set_xticks(range(count), names, rotation=45 if in_full else 90, ha="right" if in_full else "center")
        axes.set_yticks(range(count), names)
        if not in_full:
            axes.tick_params(labelsize=max(2.0, 100 / count))
    for (row, column), number in np.ndenumerate(counts) if in_full else ():
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, f"{number}", ha="center", va="center", color=colour, fontsize=9)
    return image


def _metrics_table(comparison: ModelComparison) -> RichTable:
    first = comparison.results[0]
    patients = len(set(first.groups) - {""})
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"{len(first.truth)} images" + (f", {patients} patients" if patients else ""))
    for letter in comparison.letters:
        table.add_column(letter, justify="right", no_wrap=True)
    for metric in compared(any(result.ordered for result in comparison.results)):
        table.add_row(metric.name, *(_value(metrics, metric) for metrics in comparison.metrics))
    return table


def _value(metrics: Metrics, metric: Metric) -> str:
    estimate = metrics.estimates.get(metric.key)
    return "-" if estimate is None or estimate.value is None else f"{estimate.value:.4f}"


def _difference_table(comparison: ModelComparison, index: int) -> RichTable:
    letter, differences = comparison.letters[index], comparison.differences_from_first[index - 1]
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (f"{letter} - A", "difference", "95% interval", "better"):
        table.add_column(heading, justify="left" if heading in ("better", f"{letter} - A") else "right", no_wrap=True)
    for metric in (metric for metric in compared(ordered=True) if metric.key in differences):
        item = differences[metric.key]
        better = {1: letter, -1: "A", 0: "not shown"}[verdict(metric, item)]
        if item.value is None or item.low is None or item.high is None:
            table.add_row(metric.name, "-", "", "")
        else:
            table.add_row(metric.name, f"{item.value:+.4f}", f"{item.low:+.4f} to {item.high:+.4f}", better)
    return table


def _confusion_tables(comparison: ModelComparison) -> RichTable:
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    classes = comparison.results[0].classes
    grid.add_column("truth ↓  prediction →", overflow="fold")
    for letter in comparison.letters:
        for item in classes:
            grid.add_column(Text(f"{letter} {shown(item.label)}"), justify="right", overflow="fold")
    for row, item in enumerate(classes):
        cells = [
            Text(str(count), "bold" if column == row else "")
            for metrics in comparison.metrics
            for column, count in enumerate(metrics.confusion[row])
        ]
        grid.add_row(Text(shown(str(item))), *cells)
    return grid


def _disagreement_table(comparison: ModelComparison) -> RichTable:
    rows, classes = comparison.disagreements(), comparison.results[0].classes
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"disagree: {len(rows)} images", overflow="fold")
    table.add_column("truth", overflow="fold")
    for letter in comparison.letters:
        table.add_column(letter, overflow="fold")
    for row in rows[:MOST_PRINTED]:
        truth = int(comparison.results[0].truth[row])
        table.add_row(
            Text(shown(comparison.results[0].paths[row])),
            Text(shown(str(classes[truth]))),
            *(_prediction(result, row, classes) for result in comparison.results),
        )
    if len(rows) > MOST_PRINTED:
        table.add_row(f"... and {len(rows) - MOST_PRINTED} more", "", *("" for _ in comparison.names))
    table.add_section()
    right = [int((result.predicted[rows] == result.truth[rows]).sum()) for result in comparison.results]
    table.add_row("right on these", "", *map(str, right))
    return table


def _prediction(result: EvaluationResult, row: int, classes: Sequence[ClassName]) -> Text:
    predicted = int(result.predicted[row])
    text = f"{shown(classes[predicted].label)} {result.probabilities[row, predicted]:.2f}"
    return Text(text, "bold" if predicted == result.truth[row] else "")
