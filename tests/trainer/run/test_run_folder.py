from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import trainer.model.network
import trainer.run.run_folder
from infer.core.files import write_text
from infer.dataset.source import read_table
from infer.dataset.table import Table
from infer.images.preprocess import PixelSpec
from infer.model.card import IMAGENET, ModelCard
from trainer.config import TrainConfig
from trainer.model.checkpoint import load_checkpoint
from trainer.model.network import PixelNet, build_network
from trainer.optim.schedule import Plateau
from trainer.run.epoch_metrics import COMPUTED_IN
from trainer.run.loop import EpochResult
from trainer.run.run_folder import RunFolder, new_run
from trainer.run.snapshot import Snapshot, TrainerState, cpu_copy, load_snapshot


@pytest.fixture
def table(cells: Path) -> Table:
    return read_table(cells)


@pytest.fixture
def card(table: Table) -> ModelCard:
    return ModelCard(
        architecture="resnet18",
        classes=table.classes,
        pixels=PixelSpec.default(32),
        normalization=IMAGENET,
        ordered=False,
    )


def epoch(number: int, table: Table, right: int, loss: float) -> EpochResult:
    """An epoch in which the first `right` validation images are answered rightly."""
    truth = table.split("valid").labels
    answers = np.where(np.arange(len(truth)) < right, truth, 1 - truth)
    return EpochResult(number, 0.1, 0.5, 0.5, loss, np.eye(2, dtype=np.float32)[answers], 1.0, 100.0)


CONFIG = TrainConfig(architecture="resnet18", schedule="plateau", plateau=2)


def make_trainer(network: PixelNet, validated: PixelNet | None = None, arithmetic: str = "float32") -> Any:
    """What a run folder asks of a trainer."""
    return SimpleNamespace(
        settings=CONFIG.resolved("cpu")[0],
        validated=validated or network,
        plateau=Plateau(),
        first_epoch=1,
        exact=arithmetic == "float32",
        arithmetic=arithmetic,
        state=lambda: TrainerState(cpu_copy(network.state_dict()), {}, None, Plateau()),
    )


def set_mark(network: PixelNet, value: float) -> None:
    torch.nn.init.constant_(network.resnet.fc.bias, value)


def marks(run: Path) -> tuple[float, float]:
    """Which network last.ckpt and best.safetensors hold."""
    last = load_snapshot(run).trainer.network["resnet.fc.bias"][0].item()
    return last, load_checkpoint(run / "best.safetensors")[0].resnet.fc.bias[0].item()


def test_best_holds_the_network_of_the_best_epoch_not_of_the_last(
    table: Table, card: ModelCard, tmp_path: Path
) -> None:
    folder, network, lines = RunFolder(tmp_path, CONFIG, table), build_network(card), []
    stage = make_trainer(network)
    folder.start(CONFIG, table)
    for number, (right, loss) in enumerate([(6, 0.5), (9, 0.4), (9, 0.3), (9, 0.35), (8, 0.1)], 1):
        set_mark(network, number)
        lines.append(folder.add(epoch(number, table, right, loss), stage, card))
    assert (folder.epochs, folder.waiting) == (5, 3)  # a smaller loss alone is no better metric
    assert folder.best is not None
    assert folder.best.score == (9 / 12, -0.3)
    finished = folder.finish()
    assert marks(tmp_path) == (5, 3)  # of equal metrics, the smaller loss
    assert load_checkpoint(tmp_path / "best.safetensors")[1].provenance["validation"]["epoch"] == 3
    assert [line.endswith("best") for line in lines] == [True, True, True, False, False]
    assert (finished.metrics["accuracy"].value, finished.run) == (9 / 12, tmp_path)
    assert {"curves.png", "report", "history.csv", "last.ckpt"} <= {path.name for path in tmp_path.iterdir()}


def test_the_validated_weights_are_saved(table: Table, card: ModelCard, tmp_path: Path) -> None:
    folder, network, average = RunFolder(tmp_path, CONFIG, table), build_network(card), build_network(card)
    set_mark(network, 1)
    set_mark(average, 2)
    folder.add(epoch(1, table, 9, 0.5), make_trainer(network, average), card)
    assert marks(tmp_path) == (1, 2)


def test_the_plateau_follows_the_monitored_metric(table: Table, card: ModelCard, tmp_path: Path) -> None:
    folder, stage = RunFolder(tmp_path, CONFIG, table), make_trainer(build_network(card))
    factors = []
    for number, right in enumerate([6, 9, 9, 8, 12], 1):  # of equal metrics the loss does not count
        folder.add(epoch(number, table, right, 1 / number), stage, card)
        factors.append(stage.plateau.factor)
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1])


def test_an_unfinished_run_has_no_best(table: Table, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, CONFIG, table)
    folder.flush()
    assert (folder.best, folder.epochs, list(tmp_path.iterdir())) == (None, 0, [])
    with pytest.raises(ValueError, match="no epoch is finished"):
        folder.finish()


def test_a_process_that_does_not_write_writes_nothing_and_has_the_same_figures(
    table: Table, card: ModelCard, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    writer, other = RunFolder(tmp_path, CONFIG, table), RunFolder(tmp_path / "other", CONFIG, table, writes=False)
    for folder in (writer, other):
        folder.start(CONFIG, table)
        folder.add(epoch(1, table, 9, 0.5), make_trainer(build_network(card)), card)
    assert writer.last_row == other.last_row
    metrics = [folder.finish().metrics for folder in (writer, other)]
    assert metrics[0].confusion.tolist() == metrics[1].confusion.tolist()
    assert list((tmp_path / "other").iterdir()) == []


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


def slow_writing(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Clock:
    """From here on writing last.ckpt takes so long, by the clock that is returned."""
    clock, save = Clock(), trainer.run.run_folder.save_snapshot

    def slow(run: Path, snapshot: Snapshot) -> None:
        save(run, snapshot)
        clock.now += seconds

    monkeypatch.setattr(trainer.run.run_folder, "time", clock)
    monkeypatch.setattr(trainer.run.run_folder, "save_snapshot", slow)
    return clock


def test_where_writing_is_slow_only_some_epochs_are_written_and_the_rest_at_the_end(
    table: Table, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing takes 0.1 s and an epoch 0.6 s: 2 s are to lie between two writings."""
    clock = slow_writing(monkeypatch, seconds=0.1)
    folder, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage, written = make_trainer(network), []
    for number in range(1, 11):
        clock.now += 0.6
        set_mark(network, number)
        folder.add(epoch(number, table, number, 0.5), stage, card)
        written.append(marks(tmp_path))
        assert len((tmp_path / "history.csv").read_text().splitlines()) == number + 1  # which costs nothing
    assert written == [(1, 1)] * 4 + [(5, 5)] * 4 + [(9, 9)] * 2
    folder.finish()
    assert marks(tmp_path) == (10, 10)
    before = clock.now
    folder.flush()
    assert clock.now == before  # there is nothing left


def test_however_slow_writing_is_an_epoch_is_written_every_half_minute(
    table: Table, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = slow_writing(monkeypatch, seconds=10)
    folder, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage, written = make_trainer(network), []
    for number in range(1, 7):
        clock.now += 12
        set_mark(network, number)
        folder.add(epoch(number, table, number, 0.5), stage, card)
        written.append(marks(tmp_path)[0])
    assert written == [1, 1, 1, 4, 4, 4]


def test_what_a_kill_left_half_written_is_deleted_on_resuming(table: Table, card: ModelCard, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, CONFIG, table)
    folder.add(epoch(1, table, 6, 0.5), make_trainer(build_network(card)), card)
    for name in (".0123abcd.ckpt", ".0123abcd.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"half")
    RunFolder(tmp_path, CONFIG, table).resume(load_snapshot(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"best.safetensors", "history.csv", "last.ckpt", "notes.txt"}


def test_what_is_written_in_the_middle_of_an_epoch_is_the_end_of_the_one_before(
    table: Table, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage = make_trainer(network)
    folder.add(epoch(1, table, 6, 0.5), stage, card)
    monkeypatch.setattr(trainer.run.run_folder, "WRITING_SHARE", float("inf"))
    set_mark(network, 2)
    folder.add(epoch(2, table, 9, 0.5), stage, card)
    set_mark(network, 3)  # the third epoch is under way
    assert marks(tmp_path) != (2, 2)
    folder.flush()
    assert marks(tmp_path) == (2, 2)
    assert len(load_snapshot(tmp_path).rows) == 2


@pytest.mark.parametrize(
    "place", ["epoch_values", "cpu_copy", "history_row", "save_snapshot", "write_text", "save_state"]
)
def test_an_interruption_while_an_epoch_is_taken_down_leaves_it_or_the_one_before_whole(
    table: Table, card: ModelCard, tmp_path: Path, place: str
) -> None:
    folder, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage = make_trainer(network)
    set_mark(network, 1)
    folder.add(epoch(1, table, 6, 0.5), stage, card)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    set_mark(network, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.run.run_folder, "WRITING_SHARE", 0)
        patch.setattr(trainer.run.run_folder, place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            folder.add(epoch(2, table, 9, 0.5), stage, card)
    folder.flush()
    found = load_snapshot(tmp_path)
    number = len(found.rows)
    assert number == folder.epochs == (1 if place in ("epoch_values", "cpu_copy", "history_row") else 2)
    assert marks(tmp_path) == (number, number)
    assert len((tmp_path / "history.csv").read_text().splitlines()) == number + 1
    assert found.best.score == (folder.best.score if folder.best else None)


def test_a_run_folder_continues_from_a_snapshot_and_repairs_the_other_files(
    table: Table, card: ModelCard, tmp_path: Path
) -> None:
    first, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage = make_trainer(network)
    for number, right in ((1, 9), (2, 6)):
        set_mark(network, number)
        first.add(epoch(number, table, right, 0.5), stage, card)
    first.flush()
    history = (tmp_path / "history.csv").read_bytes()
    (tmp_path / "history.csv").unlink()
    (tmp_path / "best.safetensors").unlink()
    second = RunFolder(tmp_path, CONFIG, table)
    second.resume(load_snapshot(tmp_path))
    assert (tmp_path / "history.csv").read_bytes() == history
    assert marks(tmp_path) == (2, 1)
    assert (second.epochs, second.waiting, second.last_row) == (2, 1, first.last_row)
    assert second.best is not None
    assert first.best is not None
    assert replace(second.best, weights={}, probabilities=torch.ones(1)) == replace(
        first.best, weights={}, probabilities=torch.ones(1)
    )


def test_two_runs_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 10, 15, 0)
    runs = [new_run(tmp_path / "runs", "resnet50", now, lambda run: write_text(run / "a", "b")) for _ in range(3)]
    assert [run.name for run in runs] == [f"resnet50-20261122-101500{end}" for end in ("", "-2", "-3")]
    assert all((run / "a").read_text() == "b" for run in runs)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(run.name for run in runs)


def test_the_best_epoch_of_a_stage_is_validated_again_as_its_file_computes(
    table: Table, card: ModelCard, tmp_path: Path
) -> None:
    folder, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage = make_trainer(network, arithmetic="bfloat16")
    exact = epoch(0, table, 8, 0.4).probabilities
    validated: list[float] = []

    def validate_exactly(weights: dict[str, torch.Tensor]) -> tuple[np.ndarray, float]:
        validated.append(weights["fc.bias"][0].item())
        return exact, 0.4

    stage.validate_exactly = validate_exactly
    folder.start(CONFIG, table)
    for number, right in enumerate([6, 9, 7], 1):
        set_mark(network, number)
        folder.add(epoch(number, table, right, 0.5), stage, card)
    assert folder.best is not None
    before = folder.best.card.provenance["validation"]
    assert (before["accuracy"], before[COMPUTED_IN]) == (9 / 12, "bfloat16")
    line = folder.settle_best(stage, 0)
    assert validated == [2]
    assert line.startswith(
        "best epoch 2, validated in float32 as its exported file computes: accuracy 66.67% (75.00% in"
    )
    assert marks(tmp_path) == (3, 2)
    for saved in (load_checkpoint(tmp_path / "best.safetensors")[1], load_snapshot(tmp_path).best.card):
        validation = saved.provenance["validation"]
        assert (validation["accuracy"], validation["epoch"], COMPUTED_IN in validation) == (8 / 12, 2, False)
    assert np.array_equal(load_snapshot(tmp_path).best.probabilities.numpy(), exact)
    assert folder.settle_best(stage, 0) == ""  # once
    finished = folder.finish()
    assert finished.metrics["accuracy"].value == 8 / 12
    assert not any("bfloat16" in note for note in finished.result.notes)


def test_a_run_that_stops_before_that_says_what_its_figures_were_computed_in(
    table: Table, card: ModelCard, tmp_path: Path
) -> None:
    folder, network = RunFolder(tmp_path, CONFIG, table), build_network(card)
    stage = make_trainer(network, arithmetic="bfloat16")
    folder.start(CONFIG, table)
    folder.add(epoch(1, table, 9, 0.5), stage, card)
    assert any("validated in bfloat16, as in training" in note for note in folder.finish().result.notes)
    later = make_trainer(network, arithmetic="bfloat16")
    later.first_epoch = 2
    assert folder.settle_best(later, 1) == ""  # of an earlier stage, whose images are gone


def test_where_training_computes_as_the_file_does_one_validation_is_enough(
    table: Table, card: ModelCard, tmp_path: Path
) -> None:
    folder, stage = RunFolder(tmp_path, CONFIG, table), make_trainer(build_network(card))
    folder.start(CONFIG, table)
    folder.add(epoch(1, table, 9, 0.5), stage, card)
    assert folder.settle_best(stage, 0) == ""
    assert not any("validated in" in note for note in folder.finish().result.notes)
