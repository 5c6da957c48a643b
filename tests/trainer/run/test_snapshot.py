"""A run that was stopped goes on as if it had not been: the same weights, state and history, bit for bit."""

import csv
import io
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import trainer.run.precision
import trainer.run.run_folder
from infer.core.console import Screen
from infer.core.errors import DataError, ModelError, TrainingError
from infer.images.preprocess import PixelSpec
from infer.model.card import IMAGENET, ClassName, ModelCard
from trainer.config import TrainConfig, read_config
from trainer.model.checkpoint import load_checkpoint
from trainer.optim.schedule import Plateau
from trainer.options import resume_config
from trainer.run.loop import Trainer
from trainer.run.progress import Progress
from trainer.run.snapshot import Best, EmaState, Snapshot, TrainerState, cpu_copy, load_snapshot, save_snapshot
from trainer.run.tensorboard import TensorBoardLog
from trainer.train import train

SMALL_AND_STUCK = textwrap.dedent(
    """
    import sys, time, trainer.run.progress
    from trainer.model.architectures import ARCHITECTURES, Architecture
    from trainer.model.resnet import BasicBlock, ResNet
    small = lambda classes: ResNet(BasicBlock, (1, 1, 1, 1), classes, base_width=8)
    ARCHITECTURES["resnet18"] = Architecture(small, compile_seconds=1)
    trainer.run.progress.Progress.__call__ = lambda self, *_: time.sleep(600 if self._number == 2 else 0)
    import cli
    cli.main(sys.argv[1:])
    """
)
"""A `lab` with small networks that stays in the second epoch."""

PLAIN = {
    "precision": "fp32",
    "epochs": 3,
    "batch_size": 8,
    "image_size": 32,
    "schedule": "cosine",
    "learning_rate": 0.05,
}
EVERYTHING = {
    "batch_size": 8,
    "precision": "bf16",
    "accumulate": 2,
    "optimizer": "adamw",
    "learning_rate": 0.002,
    "schedule": "plateau",
    "plateau": 1,
    "drop": 0.5,
    "clip_norm": 1.0,
    "ema": 0.9,
    "freeze": 1,
    "label_smoothing": 0.1,
    "class_weights": "inverse",
    "sampling": "balanced",
    "augment": ("rotation(20), hflip, jitter(0.2) @ 0.5, mixup(0.4)",),
    "stages": (
        {"epochs": 2, "image_size": 32},
        {"epochs": 2, "image_size": 40, "learning_rate": 0.001, "stage_start": "best"},
    ),
}


class Killed(BaseException):
    """Nothing in lab knows it, so nothing is tidied up."""


@pytest.fixture(scope="module", autouse=True)
def bf16() -> Iterator[None]:
    """Take this processor for one that multiplies bfloat16 numbers: torch computes the same, if slowly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.run.precision, "bf16_instructions", lambda: ("amx_bf16",))
        yield


@pytest.fixture
def begin(cells: Path, tmp_path: Path, quiet: Screen) -> Callable[..., Path]:
    """Train; the run's folder, also where the run was stopped."""

    def run(**options: Any) -> Path:
        before = set((tmp_path / "runs").glob("*"))
        config = TrainConfig(
            architecture="resnet18", data=str(cells), device="cpu", out=str(tmp_path / "runs"), **options
        )
        try:
            return train(config, quiet).run
        except (Killed, KeyboardInterrupt):
            (made,) = set((tmp_path / "runs").glob("*")) - before
            return made

    return run


@pytest.fixture(scope="module")
def whole(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The uninterrupted run of PLAIN or EVERYTHING, made once. Not to be written to."""
    made: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in made:
            options: dict[str, Any] = {"plain": PLAIN, "everything": EVERYTHING}[name]
            out = str(tmp_path_factory.mktemp(name))
            config = TrainConfig(architecture="resnet18", data=str(cells), device="cpu", out=out, **options)
            made[name] = train(config, Screen()).run
        return made[name]

    return run


def resume(run: Path, screen: Screen | None = None, **given: Any) -> Path:
    return train(resume_config(run, "", "lab", given), screen or Screen(), run).run


def rows(run: Path) -> list[dict[str, str]]:
    """The history without what the clock says."""
    with (run / "history.csv").open(newline="") as lines:
        found = list(csv.DictReader(lines))
    clock = ("seconds", "images_per_second")
    return [{name: value for name, value in row.items() if name not in clock} for row in found]


def leaves(state: Any, name: str = "") -> dict[str, Any]:
    """The tensors and values of nested containers, by where they are."""
    if isinstance(state, list | tuple):
        state = dict(enumerate(state))
    if isinstance(state, Snapshot | TrainerState | EmaState | Best | Plateau):
        state = vars(state)
    if not isinstance(state, dict):
        return {name: state}
    return {key: value for inner in state for key, value in leaves(state[inner], f"{name}/{inner}").items()}


def assert_same_run(one: Path, other: Path) -> None:
    """Same history, best checkpoint and last state, bit for bit."""
    assert rows(one) == rows(other)
    assert (one / "best.safetensors").read_bytes() == (other / "best.safetensors").read_bytes()
    states = [load_snapshot(run) for run in (one, other)]
    for state in states:
        for row in state.rows:
            del row["seconds"], row["images_per_second"]
    left, right = (leaves(state) for state in states)
    assert list(left) == list(right)
    for name, value in left.items():
        same = torch.equal(value, right[name]) if isinstance(value, Tensor) else value == right[name]
        assert same, name


def stop(error: Callable[[], BaseException | None]) -> None:
    raised = error()
    if raised:
        raise raised


def stop_in(epoch: int, error: Callable[[], BaseException | None], patch: pytest.MonkeyPatch) -> None:
    """Raise an error, or do what stops the run, in the middle of an epoch, counted from 1."""
    report = Progress.__call__

    def stopping(self: Progress, images: int, loss: float, rate: float) -> None:
        report(self, images, loss, rate)
        if self._number == epoch and images == 16:
            stop(error)

    patch.setattr(Progress, "__call__", stopping)


def stop_after(epoch: int, error: type[BaseException], patch: pytest.MonkeyPatch) -> None:
    """Raise an error when an epoch is finished and taken down, counted from 1."""

    def stopping(_: TensorBoardLog, row: dict[str, Any]) -> None:
        if row["epoch"] == epoch:
            raise error

    patch.setattr(TensorBoardLog, "add", stopping)


def test_two_runs_with_one_seed_are_identical(begin: Callable[..., Path], whole: Callable[[str], Path]) -> None:
    assert_same_run(begin(**EVERYTHING), whole("everything"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed])
@pytest.mark.parametrize("name", ["plain", "everything"])
def test_a_run_that_is_stopped_in_every_epoch_ends_like_one_that_never_was(
    begin: Callable[..., Path], whole: Callable[[str], Path], name: str, error: type[BaseException], quiet: Screen
) -> None:
    epochs = len(rows(whole(name)))
    for number in range(2, epochs + 1):
        with pytest.MonkeyPatch.context() as patch:
            stop_in(number, error, patch)
            if number == 2:
                run = begin(**{"plain": PLAIN, "everything": EVERYTHING}[name])
            else:
                with pytest.raises(error):
                    resume(run, quiet)
            assert len(load_snapshot(run).rows) <= number - 1 == len(rows(run))
    assert_same_run(resume(run, quiet), whole(name))


@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed])
def test_a_run_that_is_stopped_between_its_stages_goes_on_with_the_next(
    begin: Callable[..., Path], whole: Callable[[str], Path], error: type[BaseException], quiet: Screen
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.run.run_folder, "WRITING_SHARE", 0)  # else a kill would lose the last epoch
        stop_after(2, error, patch)
        run = begin(**EVERYTHING)
    assert (load_snapshot(run).stage, len(rows(run))) == (0, 2)
    assert_same_run(resume(run, quiet), whole("everything"))


def test_resuming_a_finished_run_trains_no_more_and_changes_nothing(
    begin: Callable[..., Path], heard: Any, monkeypatch: pytest.MonkeyPatch, whole: Callable[[str], Path]
) -> None:
    expected = whole("plain")  # before no epoch can be trained
    run = begin(**PLAIN)
    before = (run / "last.ckpt").read_bytes()
    (run / "curves.png").unlink()
    monkeypatch.setattr("trainer.run.loop.Trainer.run_epoch", None)
    screen, text = heard
    resume(run, screen)
    assert "resumed after epoch 3" in text.getvalue()
    assert (run / "last.ckpt").read_bytes() == before
    assert (run / "curves.png").is_file()
    assert_same_run(run, expected)


def test_a_checkpoint_and_history_that_a_crash_left_behind_are_mended(
    begin: Callable[..., Path], whole: Callable[[str], Path], quiet: Screen
) -> None:
    """last.ckpt is written first, so the others may be an epoch older, or ahead of a last.ckpt that was not due."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.run.run_folder, "WRITING_SHARE", 0)
        stop_in(3, Killed, patch)
        run = begin(**PLAIN)
    (run / "best.safetensors").write_bytes(b"of an older epoch")
    lines = (run / "history.csv").read_text().splitlines(keepends=True)
    (run / "history.csv").write_text("".join(lines[:2]))
    with pytest.MonkeyPatch.context() as patch:
        stop_in(3, Killed, patch)
        with pytest.raises(Killed):
            resume(run, quiet)
    load_checkpoint(run / "best.safetensors")
    assert len(rows(run)) == 2
    assert_same_run(resume(run, quiet), whole("plain"))


def test_a_crash_between_the_two_files_is_mended(
    begin: Callable[..., Path], whole: Callable[[str], Path], quiet: Screen
) -> None:
    def crash(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.run.run_folder, "save_state", crash)
        run = begin(**PLAIN)
    assert (run / "last.ckpt").is_file()
    assert not (run / "best.safetensors").exists()
    assert_same_run(resume(run, quiet), whole("plain"))


def test_a_run_may_be_resumed_after_its_images_have_moved(
    begin: Callable[..., Path], whole: Callable[[str], Path], cells: Path, tmp_path: Path, quiet: Screen
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_in(2, KeyboardInterrupt, patch)
        run = begin(**PLAIN)
    shutil.copytree(cells, tmp_path / "elsewhere")
    resume(run, quiet, data=str(tmp_path / "elsewhere"))
    assert rows(run) == rows(whole("plain"))


SMALL_RUN = ("--epochs", "3", "--batch-size", "8", "--image-size", "32", "--device", "cpu")


def test_a_run_that_is_killed_by_the_system_is_resumed_by_the_command(
    lab: Callable, cells: Path, tmp_path: Path, quiet: Screen
) -> None:
    arguments = ["train", "resnet18", "--data", cells, *SMALL_RUN, "--out", tmp_path / "runs"]
    child = subprocess.Popen([sys.executable, "-c", SMALL_AND_STUCK, *map(str, arguments)], stdout=subprocess.DEVNULL)
    while child.poll() is None and not list(tmp_path.glob("runs/*/last.ckpt")):
        time.sleep(0.01)
    child.kill()  # in the second epoch, or while the first one's files are written
    assert child.wait() == -signal.SIGKILL
    (run,) = (tmp_path / "runs").iterdir()
    assert len(load_snapshot(run).rows) == 1
    ran = lab("train", "--resume", run)
    assert ran.code == 0, ran.err
    config = read_config(tomllib.loads((run / "recipe.toml").read_text()))
    assert_same_run(run, train(replace(config, out=str(tmp_path / "other")), quiet).run)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts, also where the suite runs in the background of a shell script, which lets it be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_a_complete_folder_and_say_what_is_repeated_and_how_to_resume(
    lab: Callable, cells: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_in(2, lambda: os.kill(os.getpid(), number), patch)
        ran = lab("train", "resnet18", "--data", cells, *SMALL_RUN, "--out", tmp_path / "runs")
    assert ran.code == code
    (run,) = (tmp_path / "runs").iterdir()
    assert (
        f"stopped in epoch 2, whose 16 images of 24 will be repeated; resume: lab train --resume {run}\n"
        f"or export the best epoch: lab export {run}\n"
    ) in ran.out
    assert {path.name for path in run.iterdir()} == {
        "best.safetensors",
        "curves.png",
        "data.csv",
        "history.csv",
        "last.ckpt",
        "recipe.toml",
        "report",
        "run.json",
    }
    assert "\n" not in ran.err.strip()
    assert len(rows(run)) == len(load_snapshot(run).rows) == 1
    assert lab("train", "--resume", run).code == 0
    assert len(rows(run)) == 3


def test_a_run_that_is_stopped_in_its_first_epoch_says_that_it_cannot_be_resumed(
    lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_in(1, KeyboardInterrupt, monkeypatch)
    ran = lab("train", "resnet18", "--data", cells, *SMALL_RUN, "--out", tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    assert (ran.code, f"no epoch was finished, so {run} cannot be resumed" in ran.out) == (130, True)
    ran = lab("train", "--resume", run)
    assert ran.code == 1
    assert (
        ran.err == f"error: {run} cannot be resumed: there is no last.ckpt, so no epoch was finished; start a new run\n"
    )


def test_a_loss_that_diverges_would_do_so_again_so_only_the_export_is_named(
    cells: Path, tmp_path: Path, heard: tuple[Screen, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = Trainer._validate
    losses = iter([1.0, math.nan])
    monkeypatch.setattr(Trainer, "_validate", lambda self, exact=False: (validate(self)[0], next(losses)))
    screen, text = heard
    config = TrainConfig(architecture="resnet18", data=str(cells), device="cpu", out=str(tmp_path), **PLAIN)
    with pytest.raises(TrainingError):
        train(config, screen)
    assert "lab export" in text.getvalue()
    assert "--resume" not in text.getvalue()


def test_images_that_have_changed_are_refused(begin: Callable[..., Path], cells: Path, tmp_path: Path) -> None:
    data = tmp_path / "changed"
    shutil.copytree(cells, data)
    with pytest.MonkeyPatch.context() as patch:
        stop_in(2, KeyboardInterrupt, patch)
        run = begin(**PLAIN)
    before = (run / "last.ckpt").read_bytes()
    with next((data / "train").iterdir()).open("ab") as image:
        image.write(b"one byte more")
    with pytest.raises(DataError, match=r"changed has changed since .*runs.* started; start a new run$"):
        resume(run, data=str(data))
    assert (run / "last.ckpt").read_bytes() == before
    (gone := next((data / "train").iterdir())).unlink()
    with pytest.raises(DataError, match=rf"1 images .*{gone.stem}"):
        resume(run, data=str(data))


def test_a_folder_that_is_no_run_is_an_error_of_one_line(lab: Callable, tmp_path: Path) -> None:
    ran = lab("train", "--resume", tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "there is no recipe.toml" in ran.err
    assert lab("train", "--resume", tmp_path / "nowhere").code == 2


CARD = ModelCard(
    architecture="resnet18",
    classes=(ClassName("0", "normal"), ClassName("1", "blast")),
    pixels=PixelSpec.default(32),
    normalization=IMAGENET,
    ordered=False,
)
SNAPSHOT = Snapshot(
    stage=1,
    first_epoch=3,
    trainer=TrainerState(
        network={"a": torch.arange(400.0)},
        optimizer={"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]},
        ema=EmaState({"a": torch.arange(400.0) / 2}, 7),
        plateau=Plateau(0.5, 0.75, 2),
    ),
    rows=[{"epoch": 1, "best": 0.5}],
    waiting=2,
    best=Best((0.5, -0.1), "title", CARD, {"b": torch.arange(3)}, torch.rand(4, 2)),
)


@pytest.mark.parametrize("ema", [SNAPSHOT.trainer.ema, None])
def test_a_snapshot_comes_back_as_it_was_saved(tmp_path: Path, ema: EmaState | None) -> None:
    snapshot = replace(SNAPSHOT, trainer=replace(SNAPSHOT.trainer, ema=ema))
    save_snapshot(tmp_path, snapshot)
    found = leaves(load_snapshot(tmp_path))
    for name, value in leaves(snapshot).items():
        assert torch.equal(found[name], value) if isinstance(value, Tensor) else found[name] == value
    assert len(found) == len(leaves(snapshot))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_every_damage_to_a_snapshot_is_detected_and_reported_in_one_line(tmp_path: Path) -> None:
    """A byte that is part of nothing, such as of the padding between two parts, may change."""
    save_snapshot(tmp_path, SNAPSHOT)
    path = tmp_path / "last.ckpt"
    content, messages = path.read_bytes(), []
    damaged = [content[:size] for size in range(0, len(content), 97)]
    for place in range(0, len(content), 11):
        damaged.append(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
    for found in damaged:
        path.write_bytes(found)
        try:
            assert torch.equal(load_snapshot(tmp_path).trainer.network["a"], SNAPSHOT.trainer.network["a"])
        except ModelError as error:
            messages.append(str(error))
    assert len(messages) > len(damaged) / 2
    line = re.compile(
        r"\S*last\.ckpt (cannot be read \(.*\)|was written by .*); export the best epoch, or start a new run"
    )
    assert [text for text in messages if not line.fullmatch(text)] == []


@pytest.mark.parametrize("content", [{"version": 0}, {"version": 1}, {"version": 1, "trainer": []}, {}, [1], 1])
def test_another_versions_snapshot_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match=r"last\.ckpt was written by another version of lab"):
        load_snapshot(tmp_path)


def test_a_snapshot_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"version": 1, "path": Path("made by pickle's reduce")}, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match=r"last\.ckpt cannot be read"):
        load_snapshot(tmp_path)


def test_a_snapshot_is_written_as_the_older_version_wrote_it(tmp_path: Path) -> None:
    """Commit c0026b2 wrote tests/data/legacy; test_legacy.py resumes its run."""
    old = Path(__file__).parents[2] / "data" / "legacy" / "stopped"
    save_snapshot(tmp_path, load_snapshot(old))
    found, expected = (leaves(torch.load(run / "last.ckpt", weights_only=True)) for run in (tmp_path, old))
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value) if isinstance(value, Tensor) else found[name] == value, name


def test_a_clone_shares_no_memory_with_its_original() -> None:
    state = {"a": torch.zeros(2), "b": [torch.zeros(2), {"c": (torch.zeros(2), 5)}]}
    copy = cpu_copy(state)
    for tensor in (state["a"], state["b"][0], state["b"][1]["c"][0]):
        tensor += 1
    assert all(not value.any() for value in leaves(copy).values() if isinstance(value, Tensor))
    assert copy["b"][1]["c"][1] == 5
