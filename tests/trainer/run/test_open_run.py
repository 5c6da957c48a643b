"""A run's folder belongs to one process, and appears with its recipe and its data table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infer.core.errors import OutputError
from infer.core.exclusive import exclusive
from infer.dataset.table import Table

Lab = Callable[..., Any]
SMALL = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--device", "cpu")


def test_a_run_that_another_process_trains_cannot_be_resumed_and_is_not_touched(lab: Lab, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with exclusive(run):
        ran = lab("train", "--resume", run, "--device", "cpu")
    assert ran.code == 1
    assert f"is writing {run}; wait for it, or start a new run" in ran.err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_new_run_whose_first_files_cannot_be_written_leaves_no_folder(
    lab: Lab, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: Table, path: Path) -> None:
        assert (path.parent / "recipe.toml").is_file()
        raise OutputError("the disk is full")

    monkeypatch.setattr(Table, "write", full)
    ran = lab("train", "resnet18", "--data", cells, *SMALL, "--out", tmp_path / "runs")
    assert (ran.code, "the disk is full" in ran.err) == (1, True)
    assert list((tmp_path / "runs").iterdir()) == []
