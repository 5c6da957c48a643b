"""Training histories: read from runs, drawn into one picture, and summarised side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from infer.core.errors import DataError
from infer.core.text import listed, shown
from infer.model.card import read_card
from infer.model.runs import CHECKPOINT, HISTORY
from infer.reports.plot_style import LINES, new_figure, plain_style, plot_text, png

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LATEST = 1e9
"""No run has as many epochs."""
SCORES = (("accuracy", "valid_accuracy"), ("balanced", "valid_balanced_accuracy"), ("macro F1", "valid_f1"))
"""Columns of the table of figures by their titles there."""
PANELS = (("loss", "train_loss", "valid_loss"), ("accuracy", "train_accuracy", "valid_accuracy"))


@dataclass(frozen=True)
class RunHistory:
    """A run's name for people, its history (a row per epoch), and its best epoch's row."""

    name: str
    data: str
    fingerprint: str
    """Fingerprint of the training and validation images."""
    monitor: str
    epochs: "pd.DataFrame"
    best: "pd.Series"
    recipe: str = ""


def read_run(run: Path) -> RunHistory:
    """Read a run's history.

    Raises:
        DataError: there is no such run, or its history is damaged.
        ModelError: its checkpoint is damaged.
    """
    import pandas as pd

    try:
        epochs = pd.read_csv(run / HISTORY)
        best = epochs[epochs["best"] == 1].iloc[-1]
        drawn = [column for panel in PANELS for column in panel[1:]]
        numbers = ["epoch", "monitored", "seconds", *drawn, *(column for _, column in SCORES)]
        numbers += [name for name in ("stage",) if name in epochs]
        text = [name for name in numbers if epochs[name].dtype.kind not in "iuf"]
        if text or not (epochs["epoch"].abs() < LATEST).all():
            raise ValueError(f"{listed(text) or 'an epoch'} has other values than numbers")
    except OSError as error:
        raise DataError(f"{run} is not a run: it has no {HISTORY}; give folders that `lab train` made") from error
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{run / HISTORY} is damaged ({error}); give another run") from error
    card = read_card(run / CHECKPOINT)
    fingerprint = str(card.provenance.get("data", {}).get("fingerprint"))
    monitor = str(card.provenance.get("monitor", "accuracy"))
    recipe = str(card.provenance.get("recipe", ""))
    return RunHistory(run.resolve().name, card.trained_on, fingerprint, monitor, epochs, best, recipe)


def figures_table(runs: list[RunHistory], last: int | None = None) -> RichTable:
    """A row for each run: epochs, metrics of the best one and, with `last`, the mean accuracy of the last epochs."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("run", overflow="fold")
    table.add_column("recipe", overflow="fold")
    monitors = {run.monitor for run in runs}
    scores = [*SCORES, *([] if monitors == {"accuracy"} else [("monitored", "monitored")])]
    means = [f"last {last}"] if last else []
    for name in ("epochs", "best", *(name for name, _ in scores), *means, "minutes"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        figures = [f"{run.best[column]:.4f}" for _, column in scores]
        if last:
            figures.append(f"{run.epochs['valid_accuracy'].tail(last).mean():.4f}")
        minutes = f"{run.epochs['seconds'].sum() / 60:.1f}"
        names = (Text(shown(name)) for name in (run.name, run.recipe))
        table.add_row(*names, str(len(run.epochs)), str(int(run.best["epoch"])), *figures, minutes)
    return table


def data_note(runs: list[RunHistory]) -> str:
    """One line on what the runs were validated on, with a warning where that differs."""
    names = ", ".join(sorted({shown(run.data) for run in runs}))
    if len({run.fingerprint for run in runs}) > 1:
        return f"warning: these runs have different images or splits ({names}), so their metrics cannot be compared"
    return f"validation images of {names}, the same for all runs"


def curves_png(runs: list[RunHistory]) -> bytes:
    """`curves_figure`, as PNG."""
    with plain_style():
        return png(curves_figure(runs))


def curves_figure(runs: list[RunHistory], last: int | None = None) -> "Figure":
    """Loss and accuracy over epochs: validation solid, training dashed, a colour and a marker for each run.

    Dotted lines mark where a stage of a run begins. `last`: draw only the last epochs of each run. Draw within
    `plain_style`.
    """
    figure = new_figure(11, 4.4)
    for axes, (name, train, valid) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for index, run in enumerate(runs):
            _draw(axes, run, run.epochs.tail(last or len(run.epochs)), train, valid, index)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{name} (log scale)" if name == "loss" else name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    figure.axes[0].set_yscale("log")
    if len(runs) > 1:
        handles = figure.axes[1].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2, fontsize="small")
    data = ", ".join(sorted({plot_text(run.data) for run in runs}))
    figure.suptitle(f"validation solid, training dashed, best epoch ringed; data: {data}")
    return figure


def _draw(axes: "Axes", run: RunHistory, rows: "pd.DataFrame", train: str, valid: str, index: int) -> None:
    colour, marker = LINES[index % len(LINES)][0], "osD^vPX*<>"[index % 10]
    epochs = rows["epoch"]
    step = max(1, len(epochs) // 10)
    label = plot_text(run.name, 60)
    axes.plot(epochs, rows[valid], color=colour, marker=marker, markevery=step, markersize=4, label=label)
    axes.plot(epochs, rows[train], color=colour, linestyle="--", linewidth=1, marker=".", markevery=step)
    if run.best["epoch"] >= epochs.iloc[0]:
        axes.plot([run.best["epoch"]], [run.best[valid]], marker=marker, markersize=11, fillstyle="none", color=colour)
    for first_epoch in rows.loc[rows["stage"].diff() > 0, "epoch"] if "stage" in rows else ():
        axes.axvline(first_epoch - 0.5, color=colour, linewidth=0.8, linestyle=":")
