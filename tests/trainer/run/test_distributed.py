"""Training in several processes: the same as one process that takes the parts of a batch one after the other."""

import csv
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from infer.core.errors import ConfigError
from infer.dataset.source import read_table
from infer.images.preprocess import read_window
from trainer.config import TrainConfig
from trainer.model.checkpoint import load_checkpoint
from trainer.model.resnet import BasicBlock, ResNet
from trainer.run.distributed import ProcessGroup, check_processes, process_group
from trainer.run.snapshot import load_snapshot

SMALL = textwrap.dedent(
    """
    import os, sys, torch
    import infer.reports.pictures
    from torch.optim.optimizer import register_optimizer_step_pre_hook
    from trainer.model.architectures import ARCHITECTURES, Architecture
    from trainer.model.resnet import BasicBlock, ResNet

    gradients = []

    def keep(optimizer, *_):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients.append([parameter.grad.clone() for parameter in parameters if parameter.grad is not None])

    small = lambda classes: ResNet(BasicBlock, (1, 1, 1, 1), classes, base_width=8)
    ARCHITECTURES["resnet18"] = Architecture(small, compile_seconds=1)
    register_optimizer_step_pre_hook(keep)
    infer.reports.pictures.PICTURES = infer.reports.pictures.PICTURES[:1]
    import cli
    try:
        cli.main(sys.argv[2:])
    finally:
        torch.save(gradients, f"{sys.argv[1]}/gradients-{os.environ['RANK']}.pt")
    """
)
"""A `lab` with small networks that writes down the gradients of every step, for each process."""
STEPS = 6
OPTIONS = ("--epochs", "2", "--batch-size", "8", "--image-size", "64", "--augment", "hflip, mixup(0.4)")
MORE = ("--ema", "0.5", "--freeze", "1", "--schedule", "cosine", "--device", "cpu", "--precision", "fp32")


@dataclass(frozen=True)
class Several:
    """What two processes did that cut their half of a batch in two, and one that cut a whole one in four."""

    run: Path
    out: str
    gradients: list[list[list[Tensor]]]
    """Gradients of each process, step and parameter."""
    one_run: Path
    one_gradients: list[list[Tensor]]


def launch(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`lab` in two processes of PyTorch's launcher."""
    script = folder / "small_lab.py"
    script.write_text(SMALL)
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, folder)
    around = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [str(part) for part in (*launcher, *arguments)]
    return subprocess.run(command, env=around, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def several(lab: Callable, cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Several:
    if not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo, which joins processes on a CPU")
    folder = tmp_path_factory.mktemp("several")
    arguments = ("train", "resnet18", "--data", cells, *OPTIONS, *MORE)
    torch.manual_seed(1)
    torch.save(ResNet(BasicBlock, (1, 1, 1, 1), 2, base_width=8).state_dict(), folder / "start.pth")
    arguments = (*arguments, "--weights", folder / "start.pth")
    one_gradients: list[list[Tensor]] = []

    def keep(optimizer: Optimizer, *_: Any) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        one_gradients.append([parameter.grad.clone() for parameter in parameters if parameter.grad is not None])

    hook = register_optimizer_step_pre_hook(keep)
    ran = lab(*arguments, "--accumulate", "4", "--out", folder / "one")
    hook.remove()
    assert ran.code == 0, ran.err
    launched = launch(folder, *arguments, "--accumulate", "2", "--out", folder / "two")
    assert launched.returncode == 0, launched.stderr
    (one_run,), (run,) = (folder / "one").iterdir(), (folder / "two").iterdir()
    gradients = [torch.load(folder / f"gradients-{rank}.pt") for rank in (0, 1)]
    return Several(run, launched.stdout, gradients, one_run, one_gradients)


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(newline="") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def test_two_processes_have_the_gradients_of_one_that_takes_the_same_parts_in_turn(several: Several) -> None:
    assert len(several.one_gradients) == STEPS
    for gradients in several.gradients:
        assert len(gradients) == STEPS
        for step, expected in zip(gradients, several.one_gradients, strict=True):
            for gradient, wanted in zip(step, expected, strict=True):
                torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-5)
    assert len(several.one_gradients[0]) == 2  # the head alone, ...
    assert len(several.one_gradients[-1]) > 2  # ... and later all


def test_two_processes_come_to_the_weights_of_one(several: Several) -> None:
    two, one = (load_snapshot(run).trainer for run in (several.run, several.one_run))
    weights = [name for name in one.network if name.endswith(("weight", "bias"))]
    assert weights
    for name in weights:
        torch.testing.assert_close(two.network[name], one.network[name], rtol=1e-5, atol=1e-5)
        averaged, expected = (state.ema.network[name] for state in (two, one))
        torch.testing.assert_close(averaged, expected, rtol=1e-5, atol=1e-5)
    for row, other in zip(history(several.run), history(several.one_run), strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], abs=1e-5)
        assert row["train_accuracy"] == pytest.approx(other["train_accuracy"])
        assert row["learning_rate"] == other["learning_rate"]


def test_probabilities_from_all_processes_are_those_of_the_kept_weights_in_the_tables_order(
    several: Several, cells: Path
) -> None:
    network, card = load_checkpoint(several.run / "best.safetensors")
    table = read_table(cells).split("valid")
    with torch.inference_mode():
        expected = network(torch.from_numpy(np.stack([read_window(file, card.pixels) for file in table.files()])))[1]
    assert expected.std(0).min() > 1e-4  # a wrong order would be seen
    torch.testing.assert_close(load_snapshot(several.run).best.probabilities, expected, rtol=0, atol=1e-6)


def test_one_process_writes_the_run_and_speaks(several: Several) -> None:
    assert {"best.safetensors", "last.ckpt", "history.csv", "curves.png", "report"} <= {
        path.name for path in several.run.iterdir()
    }
    for line in (f"run: {several.run}", f"best checkpoint, curves and history: {several.run}", "epoch   2", "data: "):
        assert several.out.count(line) == 1, several.out


def test_a_run_of_two_processes_is_exported_like_any_other(several: Several, lab: Callable, tmp_path: Path) -> None:
    ran = lab("export", several.run, "--opset", "17", "--out", tmp_path / "model.onnx")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("options", "size"), [({"batch_size": 8, "accumulate": 2}, 3), ({"batch_size": 8}, 3), ({"batch_size": 4}, 4)]
)
def test_a_batch_that_cannot_be_shared_out_is_refused(options: dict[str, int], size: int) -> None:
    (settings,) = TrainConfig(architecture="resnet18", **options).resolved("cpu")
    message = rf"--batch-size \d must be a multiple of {size} processes times --accumulate \d, with at least 2 images"
    with pytest.raises(ConfigError, match=message):
        check_processes(settings, "cpu", ProcessGroup(0, size))
    check_processes(settings, "cpu", ProcessGroup(0, 2 // settings.accumulate))


@pytest.mark.parametrize(("device", "size"), [("cpu", 1), ("cpu", 2), ("cuda", 1)])
def test_statistics_over_all_gpus_are_refused_where_there_are_not_several(device: str, size: int) -> None:
    (settings,) = TrainConfig(architecture="resnet18", sync_bn=True).resolved(device)
    with pytest.raises(ConfigError, match=r"--sync-bn needs several GPUs; start with torchrun"):
        check_processes(settings, device, ProcessGroup(0, size))
    check_processes(settings, "cuda", ProcessGroup(0, 2))


def test_the_command_refuses_a_batch_and_sync_bn_in_one_line(lab: Callable, cells: Path, tmp_path: Path) -> None:
    for options in (("--sync-bn",), ("--batch-size", "9", "--accumulate", "2")):
        ran = lab("train", "resnet18", "--data", cells, "--device", "cpu", "--out", tmp_path / "runs", *options)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("count", [0, 1, 7, 12])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_shards_are_the_rows_in_order_and_differ_by_one_at_most(count: int, size: int) -> None:
    rows = np.arange(count) * 3
    shards = [ProcessGroup(rank, size).shard(rows) for rank in range(size)]
    assert np.concatenate(shards).tolist() == rows.tolist()
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_one_process_alone_joins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group("cpu") as group, group.local_main_first():
        assert (group, group.is_main) == (ProcessGroup(0, 1, 0), True)
        assert not torch.distributed.is_initialized()
        values = torch.arange(3.0)
        assert group.all_reduce(values) is group.all_gather(values) is group.broadcast(values) is values


@pytest.mark.parametrize("environment", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "x"}, {"WORLD_SIZE": ""}])
def test_half_of_the_launchers_environment_is_an_error(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(ConfigError, match=r"WORLD_SIZE is .*; start with torchrun, or unset WORLD_SIZE"),
        process_group("cpu"),
    ):
        pass
