"""Several models on the same images: their metrics, matrices and disagreements, as tables, a picture and rows."""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from infer.core.text import shown
from infer.metrics.metrics import Estimate, Metrics, measure
from infer.metrics.paired import COMPARED, differences, in_common, verdict
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName
from infer.reports.figures import MOST_IN_FULL
from infer.reports.metric_text import NAMES
from infer.reports.plot_style import new_figure, plot_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10
"""Of the images on which models disagree, so many are printed; all are written."""
ACROSS = 3
"""Confusion matrices in a row of the picture."""
MOST_COLUMNS = 24
"""Of confusion matrices side by side in a terminal; more are in the picture alone."""


@dataclass(frozen=True)
class Contest:
    """Models on the images that all of them have answered for; m models, n images."""

    names: tuple[str, ...]
    """[m] for people."""
    results: tuple[EvaluationResult, ...]
    metrics: tuple[Metrics, ...]
    """[m] of these images, without intervals."""
    against_first: tuple[dict[str, Estimate], ...]
    """[m - 1] of every other model: its metrics less the first one's."""

    @classmethod
    def of(cls, names: Sequence[str], results: Sequence[EvaluationResult]) -> "Contest":
        """Compare two results or more. Raises DataError where they do not compare."""
        shared = in_common(results)
        return cls(
            names=tuple(names),
            results=tuple(shared),
            metrics=tuple(measure(result, resamples=0) for result in shared),
            against_first=tuple(differences(shared[0], other) for other in shared[1:]),
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
        """The images that not all models put into one class, those first on which they are surest of themselves."""
        predicted = np.array([result.predicted for result in self.results])
        rows = np.flatnonzero((predicted != predicted[0]).any(axis=0))
        sure = np.array([result.probabilities[rows].max(axis=1) for result in self.results]).min(axis=0)
        return rows[np.argsort(-sure, kind="stable")]


def contest_tables(contest: Contest) -> list[RichTable]:
    """For the terminal: metrics, differences, confusion matrices side by side, and disagreements."""
    columns = len(contest.names) * len(contest.results[0].classes)
    return [
        _metrics_table(contest),
        *(_difference_table(contest, place) for place in range(1, len(contest.names))),
        *([_confusion_tables(contest)] if columns <= MOST_COLUMNS else []),
        _disagreement_table(contest),
    ]


def contest_json(contest: Contest) -> dict[str, Any]:
    """The same in JSON's own types; null where a metric is undefined."""
    return {
        "images": len(contest.results[0].truth),
        "models": [
            {
                "name": name,
                **{key: _value(metrics, key) for key in COMPARED if getattr(metrics, key)},
                "confusion": metrics.confusion.tolist(),
            }
            for name, metrics in zip(contest.names, contest.metrics, strict=True)
        ],
        "differences": [
            {
                "model": name,
                "less": contest.names[0],
                "metrics": {
                    key: {"value": item.value, "low": item.low, "high": item.high, "better": verdict(key, item)}
                    for key, item in found.items()
                },
            }
            for name, found in zip(contest.names[1:], contest.against_first, strict=True)
        ],
        "disagreements": len(contest.disagreements()),
    }


def disagreement_rows(contest: Contest) -> Iterator[list[object]]:
    """A header, then each image on which models disagree: its truth and, by model, the class and its probability."""
    labels = [item.label for item in contest.results[0].classes]
    columns = [f"{letter} {what}" for letter in contest.letters for what in ("predicted", "probability")]
    yield ["path", "truth", "group", *columns]
    first = contest.results[0]
    for row in contest.disagreements():
        told = [
            cell
            for result in contest.results
            for cell in (labels[result.predicted[row]], result.probabilities[row].max())
        ]
        yield [first.paths[row], labels[first.truth[row]], first.groups[row] if first.groups else "", *told]


def confusions_figure(contest: Contest) -> "Figure":
    """The confusion matrices side by side, in one scale: shares of each row, the truth. Draw within `plain_style`."""
    matrices = [metrics.confusion for metrics in contest.metrics]
    classes = [plot_text(str(item), 14) for item in contest.results[0].classes]
    count = len(classes)
    in_full = count <= MOST_IN_FULL
    side = max(2.6, 0.9 + 0.62 * count) if in_full else 6.0
    across = min(len(matrices), ACROSS)
    down = -(-len(matrices) // across)
    figure = new_figure(side * across + 0.8, (side + 0.6) * down)
    every = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes in every[len(matrices) :]:
        axes.set_axis_off()
    panels = every[: len(matrices)]
    for axes, letter, name, counts in zip(panels, contest.letters, contest.names, matrices, strict=True):
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"{letter}: {plot_text(name, 28)}", fontsize="small")
        axes.set_xlabel("prediction")
        axes.set_xticks(range(count), classes, rotation=45 if in_full else 90, ha="right" if in_full else "center")
        axes.set_yticks(range(count), classes)
        if not in_full:
            axes.tick_params(labelsize=max(2.0, 100 / count))
        for (row, column), number in np.ndenumerate(counts) if in_full else ():
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, f"{number}", ha="center", va="center", color=colour, fontsize=9)
    for axes in panels[::across]:
        axes.set_ylabel("truth")
    figure.colorbar(image, ax=every, label="share of each row", shrink=0.8)
    return figure


def _value(metrics: Metrics, name: str) -> float | None:
    estimate: Estimate | None = getattr(metrics, name)
    return estimate.value if estimate else None


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _metrics_table(contest: Contest) -> RichTable:
    first = contest.results[0]
    patients = len(set(first.groups) - {""})
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"{len(first.truth)} images" + (f", {patients} patients" if patients else ""))
    for letter in contest.letters:
        table.add_column(letter, justify="right", no_wrap=True)
    for key in COMPARED:
        if any(getattr(metrics, key) for metrics in contest.metrics):
            table.add_row(NAMES[key], *(_decimal(_value(metrics, key)) for metrics in contest.metrics))
    return table


def _difference_table(contest: Contest, place: int) -> RichTable:
    letter = contest.letters[place]
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (f"{letter} - A", "difference", "95% interval", "better"):
        table.add_column(heading, justify="left" if heading in ("better", f"{letter} - A") else "right", no_wrap=True)
    for key, item in contest.against_first[place - 1].items():
        told = {1: letter, -1: "A", 0: "not shown"}[verdict(key, item)]
        if item.value is None or item.low is None or item.high is None:
            table.add_row(NAMES[key], "-", "", "")
        else:
            table.add_row(NAMES[key], f"{item.value:+.4f}", f"{item.low:+.4f} to {item.high:+.4f}", told)
    return table


def _confusion_tables(contest: Contest) -> RichTable:
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    classes = contest.results[0].classes
    grid.add_column("truth ↓  prediction →", overflow="fold")
    for letter in contest.letters:
        for item in classes:
            grid.add_column(Text(f"{letter} {shown(item.label)}"), justify="right", overflow="fold")
    for row, item in enumerate(classes):
        cells = [
            Text(str(count), "bold" if column == row else "")
            for metrics in contest.metrics
            for column, count in enumerate(metrics.confusion[row])
        ]
        grid.add_row(Text(shown(str(item))), *cells)
    return grid


def _disagreement_table(contest: Contest) -> RichTable:
    rows, classes = contest.disagreements(), contest.results[0].classes
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"disagree: {len(rows)} images", overflow="fold")
    table.add_column("truth", overflow="fold")
    for letter in contest.letters:
        table.add_column(letter, overflow="fold")
    for row in rows[:SHOWN]:
        truth = int(contest.results[0].truth[row])
        table.add_row(
            Text(shown(contest.results[0].paths[row])),
            Text(shown(str(classes[truth]))),
            *(_told(result, row, classes) for result in contest.results),
        )
    if len(rows) > SHOWN:
        table.add_row(f"... and {len(rows) - SHOWN} more", "", *("" for _ in contest.names))
    table.add_section()
    right = [int((result.predicted[rows] == result.truth[rows]).sum()) for result in contest.results]
    table.add_row("right on these", "", *map(str, right))
    return table


def _told(result: EvaluationResult, row: int, classes: Sequence[ClassName]) -> Text:
    predicted = int(result.predicted[row])
    text = f"{shown(classes[predicted].label)} {result.probabilities[row, predicted]:.2f}"
    return Text(text, "bold" if predicted == result.truth[row] else "")
