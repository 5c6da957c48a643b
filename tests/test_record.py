from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from infer.card import IMAGENET, ModelCard
from infer.errors import ConfigError
from infer.layouts import read_table
from infer.metrics import EvaluationResult, measure
from infer.pixels import PixelSpec
from infer.table import Table
from trainer.checkpoint import load_checkpoint
from trainer.config import TrainConfig
from trainer.loop import Epoch
from trainer.network import build_network
from trainer.record import Record, duration, monitor_of, new_run


@pytest.fixture
def table(cells: Path) -> Table:
    return read_table(cells)


def epoch(number: int, table: Table, right: int, loss: float) -> Epoch:
    """An epoch in which the first `right` validation images are answered rightly."""
    truth = table.split("valid").labels
    answers = np.where(np.arange(len(truth)) < right, truth, 1 - truth)
    return Epoch(number, 0.1, 0.5, 0.5, loss, np.eye(2, dtype=np.float32)[answers], 1.0, 100.0)


def make_record(table: Table, out: Path) -> tuple[Record, ModelCard]:
    card = ModelCard(
        architecture="resnet18",
        classes=table.classes,
        pixels=PixelSpec.default(32),
        normalization=IMAGENET,
        ordered=False,
    )
    return Record(TrainConfig(architecture="resnet18", out=str(out)).resolved("cpu"), table, card), card


def test_best_holds_the_network_of_the_best_epoch_not_of_the_last(table: Table, tmp_path: Path) -> None:
    record, card = make_record(table, tmp_path)
    network = build_network(card)
    lines = []
    for number, (right, loss) in enumerate([(6, 0.5), (9, 0.4), (9, 0.3), (9, 0.35), (8, 0.1)], 1):
        torch.nn.init.constant_(network.resnet.fc.bias, number)
        lines.append(record.add(epoch(number, table, right, loss), network))
    assert record.best == 9 / 12
    kept, kept_card = load_checkpoint(record.run / "best.safetensors")
    assert kept.resnet.fc.bias.tolist() == [3, 3]  # of equal metrics, the smaller loss
    assert kept_card.provenance["validation"]["epoch"] == 3
    assert [line.endswith("best") for line in lines] == [True, True, True, False, False]
    done = record.finish()
    assert (done.metrics.accuracy, done.run) == (9 / 12, record.run)
    assert {"curves.png", "report", "history.csv"} <= {path.name for path in record.run.iterdir()}


def test_an_unfinished_run_has_no_best(table: Table, tmp_path: Path) -> None:
    record, _ = make_record(table, tmp_path)
    assert record.best is None
    with pytest.raises(ValueError, match="no epoch is finished"):
        record.finish()


@pytest.mark.parametrize("name", ["recall:1", "recall:blast"])
def test_what_is_monitored_may_be_a_class_by_label_or_by_name(table: Table, name: str) -> None:
    result = EvaluationResult(
        title="",
        classes=table.classes,
        ordered=False,
        paths=("a", "b", "c", "d"),
        truth=np.array([0, 1, 1, 1]),
        probabilities=np.eye(2, dtype=np.float32)[[1, 1, 1, 0]],
    )
    assert monitor_of(name, table)(measure(result)) == pytest.approx(2 / 3)


def test_a_monitored_class_that_is_not_there_is_an_error_that_lists_the_classes(table: Table) -> None:
    with pytest.raises(ConfigError, match="--monitor recall:Blast: the classes are 0 normal, 1 blast"):
        monitor_of("recall:Blast", table)


def test_two_runs_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 10, 15, 0)
    runs = [new_run(tmp_path / "runs", "resnet50", now) for _ in range(3)]
    assert [run.name for run in runs] == [f"resnet50-20261122-101500{end}" for end in ("", "-2", "-3")]
    assert all(run.is_dir() for run in runs)


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_a_duration_is_told_in_the_unit_that_people_would_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text
