import csv
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from infer.core.errors import MissingExtraError
from trainer.run.tensorboard import open_tensorboard, require_tensorboard

needs_tensorboard = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="no tensorboard here")

ROW = {"epoch": 3, "learning_rate": 0.5, "train_loss": 0.75, "valid_balanced_accuracy": 0.25, "monitored": 1, "best": 1}


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of everything in a run's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_board_that_no_one_wants_writes_nothing(tmp_path: Path) -> None:
    with open_tensorboard(False, tmp_path) as log:
        log.add(ROW)
    assert list(tmp_path.iterdir()) == []


@needs_tensorboard
def test_training_and_validation_of_one_figure_stand_together_by_epoch(tmp_path: Path) -> None:
    with open_tensorboard(True, tmp_path) as log:
        log.add(ROW)
        log.add({**ROW, "epoch": 4, "train_loss": 0.5})
    assert scalars(tmp_path) == {
        "run/learning_rate": [(3, 0.5), (4, 0.5)],
        "loss/train": [(3, 0.75), (4, 0.5)],
        "balanced_accuracy/valid": [(3, 0.25), (4, 0.25)],
    }


@needs_tensorboard
def test_an_epoch_is_on_disk_as_soon_as_it_is_added(tmp_path: Path) -> None:
    """A run may be killed at any moment after it."""
    with open_tensorboard(True, tmp_path) as log:
        for epoch in (1, 2, 3):
            log.add({**ROW, "epoch": epoch})
            assert scalars(tmp_path)["loss/train"][-1] == (epoch, 0.75)


@needs_tensorboard
def test_a_run_that_goes_on_adds_to_the_same_curves(tmp_path: Path) -> None:
    for epoch in (1, 2):
        with open_tensorboard(True, tmp_path) as log:
            log.add({**ROW, "epoch": epoch})
    assert scalars(tmp_path)["loss/train"] == [(1, 0.75), (2, 0.75)]


def test_a_missing_tensorboard_is_one_line_that_names_the_extra(
    lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "tensorboard" else real(name, *more)
    )
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[train,tensorboard\]'"):
        require_tensorboard()
    ran = lab("train", "resnet18", "--data", cells, "--tensorboard", "--out", tmp_path / "runs")
    assert ran.code == 1
    assert "--tensorboard needs the package tensorboard" in ran.err
    assert not (tmp_path / "runs").exists()


@needs_tensorboard
def test_lab_train_with_tensorboard_writes_the_history_into_the_runs_folder(
    lab: Callable, cells: Path, tmp_path: Path
) -> None:
    small = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--device", "cpu")
    ran = lab("train", "resnet18", "--data", cells, *small, "--tensorboard", "--out", tmp_path)
    assert ran.code == 0, ran.err
    run = next(tmp_path.iterdir())
    with (run / "history.csv").open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    found = scalars(run)
    for tag, column in (
        ("loss/train", "train_loss"),
        ("loss/valid", "valid_loss"),
        ("accuracy/train", "train_accuracy"),
        ("accuracy/valid", "valid_accuracy"),
        ("balanced_accuracy/valid", "valid_balanced_accuracy"),
        ("f1/valid", "valid_f1"),
        ("run/learning_rate", "learning_rate"),
        ("run/seconds", "seconds"),
        ("run/images_per_second", "images_per_second"),
        ("run/stage", "stage"),
    ):
        assert found.pop(tag) == [(1, pytest.approx(float(row[column]), rel=1e-6))]
    assert found == {}
