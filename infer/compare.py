"""`lab compare`: training and validation curves of several runs in one picture, and their figures side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from infer.card import read_card
from infer.drawing import new_figure, plain_style, plot_text, png
from infer.errors import ConfigError, DataError
from infer.files import write_bytes
from infer.runs import CHECKPOINT, HISTORY, RECIPE
from infer.screen import Screen, shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (("loss", "train_loss", "valid_loss"), ("accuracy", "train_accuracy", "valid_accuracy"))


@dataclass(frozen=True)
class RunHistory:
    """One run: a name for people, its history (a row per epoch), and its best epoch's row."""

    name: str
    data: str
    fingerprint: str
    """Of the training and validation images."""
    monitor: str
    epochs: "pd.DataFrame"
    best: "pd.Series"
    recipe: str = ""


def read_runs(runs: list[Path], screen: Screen) -> list[RunHistory]:
    """The histories of these runs; one that broke off before its first epoch is left out, and named.

    Raises:
        DataError: none is left, or one is damaged.
    """
    finished = [run for run in runs if (run / HISTORY).exists() or not (run / RECIPE).exists()]
    for run in [run for run in runs if run not in finished]:
        screen.say(f"{run} has no finished epoch and is left out")
    if not finished:
        raise DataError("none of these runs has a finished epoch; train again, or give other runs")
    return [read_run(run) for run in finished]


def read_run(run: Path) -> RunHistory:
    """Read a run's history.

    Raises:
        DataError: there is no such run, or its history is damaged.
        ModelError: its checkpoint is.
    """
    import pandas as pd

    try:
        epochs = pd.read_csv(run / HISTORY)
        best = epochs[epochs["best"] == 1].iloc[-1]
        wanted = [column for panel in PANELS for column in panel[1:]]
        epochs[["epoch", "monitored", "seconds", *wanted]]
    except OSError as error:
        raise DataError(f"{run} is not a run: it has no {HISTORY}; give folders that `lab train` made") from error
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(f"{run / HISTORY} cannot be read ({error}); give another run") from error
    card = read_card(run / CHECKPOINT)
    fingerprint = str(card.provenance.get("data", {}).get("fingerprint"))
    monitor = str(card.provenance.get("monitor", "accuracy"))
    recipe = str(card.provenance.get("recipe", ""))
    return RunHistory(run.resolve().name, card.trained_on, fingerprint, monitor, epochs, best, recipe)


def compare(runs: list[RunHistory], out: Path) -> RichTable:
    """Draw all runs' curves into one PNG at `out`, and give their figures as a table. Raises OutputError."""
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out must end in .png, got {out}")
    write_bytes(out, curves_png(runs))
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("run", overflow="fold")
    table.add_column("recipe", overflow="fold")
    monitors = {run.monitor for run in runs}
    scores = [("accuracy", "valid_accuracy"), ("balanced", "valid_balanced_accuracy"), ("macro F1", "valid_f1")]
    scores += [] if monitors == {"accuracy"} else [("monitored", "monitored")]
    for name in ("epochs", "best", *(name for name, _ in scores), "minutes"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        figures = [f"{run.best[column]:.4f}" for _, column in scores]
        minutes = f"{run.epochs['seconds'].sum() / 60:.1f}"
        names = (Text(shown(name)) for name in (run.name, run.recipe))
        table.add_row(*names, str(len(run.epochs)), str(int(run.best["epoch"])), *figures, minutes)
    return table


def data_note(runs: list[RunHistory]) -> str:
    """One line: what the runs were validated on, with a warning where that differs."""
    names = ", ".join(sorted({run.data for run in runs}))
    if len({run.fingerprint for run in runs}) > 1:
        return f"warning: these runs saw different images or splits ({names}), so their figures do not compare"
    return f"validation images of {names}, the same for all"


def curves_png(runs: list[RunHistory]) -> bytes:
    """Loss and accuracy over epochs as PNG: validation solid, training dashed, one colour and marker a run."""
    with plain_style():
        return png(curves_figure(runs))


def curves_figure(runs: list[RunHistory]) -> "Figure":
    """The same as a figure; call it within `plain_style`."""
    figure = new_figure(11, 4.4)
    for axes, (name, train, valid) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for place, run in enumerate(runs):
            _draw(axes, run, train, valid, place)
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


def _draw(axes: "Axes", run: RunHistory, train: str, valid: str, place: int) -> None:
    colour, marker = f"C{place % 10}", "osD^vPX*<>"[place % 10]
    epochs = run.epochs["epoch"]
    every = max(1, len(epochs) // 10)
    label = plot_text(run.name, 60)
    axes.plot(epochs, run.epochs[valid], color=colour, marker=marker, markevery=every, markersize=4, label=label)
    axes.plot(epochs, run.epochs[train], color=colour, linestyle="--", linewidth=1, marker=".", markevery=every)
    axes.plot([run.best["epoch"]], [run.best[valid]], marker=marker, markersize=11, fillstyle="none", color=colour)
