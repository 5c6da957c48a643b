"""Training histories: read, drawn, and their figures."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from infer.core.errors import DataError
from infer.reports.plot_style import plain_style
from infer.reports.training_history import RunHistory, curves_figure, data_note, figures_table, read_run


def history(name: str, epochs: int, stages: list[int] | None = None) -> RunHistory:
    numbers = list(range(1, epochs + 1))
    rows = pd.DataFrame({"epoch": numbers, "stage": stages or [1] * epochs})
    for column in ("train_loss", "valid_loss"):
        rows[column] = [1 / number for number in numbers]
    for column in ("train_accuracy", "valid_accuracy", "valid_balanced_accuracy", "valid_f1", "monitored"):
        rows[column] = [1 - 1 / (number + 1) for number in numbers]
    rows["seconds"] = 30.0
    return RunHistory(name, "cells", "f", "accuracy", rows, rows.iloc[1])


def test_a_run_is_read_with_its_best_epoch_and_its_stages(run: Path) -> None:
    found = read_run(run)
    assert found.name == run.name
    assert list(found.epochs["epoch"]) == [1, 2]
    assert list(found.epochs["stage"]) == [1, 1]
    assert found.best["best"] == 1


def test_runs_with_different_images_get_a_warning(run: Path) -> None:
    one = read_run(run)
    assert "the same for all" in data_note([one, one])
    other = RunHistory(one.name, one.data, "another fingerprint", one.monitor, one.epochs, one.best)
    assert "their metrics cannot be compared" in data_note([one, other])


def test_a_folder_that_is_not_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["", "epoch,best\n1,1\n", "a,b\n1,2\n"])
def test_a_damaged_history_is_an_error(run: Path, tmp_path: Path, content: str) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "history.csv").write_text(content)
    with pytest.raises(DataError, match=r"history\.csv is damaged"):
        read_run(copy)


@pytest.mark.parametrize(
    ("column", "cell"),
    [("epoch", "inf"), ("epoch", "nan"), ("epoch", "9" * 400), ("seconds", "x"), ("valid_f1", "True"), ("stage", "a")],
)
def test_a_history_with_a_cell_that_is_no_number_is_an_error(run: Path, tmp_path: Path, column: str, cell: str) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    header, *rows = [line.split(",") for line in (run / "history.csv").read_text().splitlines()]
    for row in rows:
        row[header.index(column)] = cell
    (copy / "history.csv").write_text("\n".join(map(",".join, [header, *rows])))
    with pytest.raises(DataError, match=r"history\.csv is damaged"):
        read_run(copy)


def test_only_the_last_epochs_are_drawn_on_request() -> None:
    with plain_style():
        figure = curves_figure([history("a", 9), history("b", 4)], last=3)
    lines = figure.axes[0].get_lines()
    drawn = {tuple(line.get_xdata()) for line in lines if len(line.get_xdata()) == 3}
    assert drawn == {(7, 8, 9), (2, 3, 4)}
    ringed = [list(line.get_xdata()) for line in lines if len(line.get_xdata()) == 1]
    assert ringed == [[2]]  # the other run's best epoch lies before


def test_a_line_marks_where_a_stage_begins() -> None:
    with plain_style():
        figure = curves_figure([history("a", 5, stages=[1, 1, 2, 2, 3])])
    upright = [line.get_xdata()[0] for line in figure.axes[1].get_lines() if list(line.get_ydata()) == [0, 1]]
    assert upright == [2.5, 4.5]


def test_the_table_has_the_mean_of_the_last_epochs() -> None:
    table = figures_table([history("a", 9)], last=2)
    headings = [str(column.header) for column in table.columns]
    cell = next(iter(table.columns[headings.index("last 2")].cells))
    assert cell == f"{(1 - 1 / 9 + 1 - 1 / 10) / 2:.4f}"
