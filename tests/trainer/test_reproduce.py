"""lab reproduce RUN: equal bit for bit, or where the runs part and what may be the cause."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from infer.core.console import Screen
from trainer.config import TrainConfig
from trainer.model.checkpoint import load_checkpoint, save_checkpoint
from trainer.run.run_folder import RunFolder
from trainer.train import train

pytestmark = pytest.mark.usefixtures("temporary")
Lab = Callable[..., Any]
STAGES = {
    "batch_size": 8,
    "workers": 1,
    "learning_rate": 0.05,
    "ema": 0.9,
    "augment": ("rotation(20), hflip",),
    "stages": ({"epochs": 2, "image_size": 32}, {"epochs": 1, "image_size": 40}),
}


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def change_record(run: Path, **environment: str) -> None:
    path = run / "run.json"
    record = json.loads(path.read_text())
    record["parts"][0]["environment"] |= environment
    path.write_text(json.dumps(record))


def change_recipe(run: Path, old: str, new: str) -> None:
    text = (run / "recipe.toml").read_text()
    assert old in text
    (run / "recipe.toml").write_text(text.replace(old, new))


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> pytest.MonkeyPatch:
    """Let Ctrl-C stop a run after so many epochs."""
    add = RunFolder.add

    def add_and_stop(self: RunFolder, *arguments: Any) -> str:
        line = add(self, *arguments)
        if self.epochs == epochs:
            raise KeyboardInterrupt
        return line

    monkeypatch.setattr(RunFolder, "add", add_and_stop)
    return monkeypatch


@pytest.mark.parametrize("row", ["3", "3,0.5,0.5"])
def test_a_history_with_a_row_that_is_too_short_is_refused_in_one_line(row: str, copy: Path, lab: Lab) -> None:
    with (copy / "history.csv").open("a") as file:
        file.write(f"{row}\n")
    ran = lab("reproduce", copy)
    assert ran.code == 1
    assert f"history.csv is damaged (a row of {row.count(',') + 1} columns for " in ran.err
    assert ran.err.count("\n") == 1


def test_a_run_is_reproduced_bit_for_bit_and_is_not_touched(run: Path, lab: Lab, temporary: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    ran = lab("reproduce", run)
    assert ran.code == 0, ran.err
    tensors = len(load_file(run / "best.safetensors"))
    assert f"equal bit for bit: 2 epochs of history.csv, {tensors} tensors of best.safetensors" in ran.out
    assert "tensors of last.ckpt" in ran.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert list(temporary.iterdir()) == []


def test_the_record_holds_what_decides_the_bits(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (part,) = record["parts"]
    names = {"lab", "python", "torch", "torchvision", "numpy", "pillow", "device", "threads", "processes", "processor"}
    assert names < set(part["environment"])
    assert all(len(record[name]) == 64 for name in ("pixels_sha256", "start_sha256"))


def test_an_unfinished_run_of_two_stages_is_reproduced_before_and_after_it_is_resumed(
    cells: Path, tmp_path: Path, lab: Lab, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(
        architecture="resnet18", data=str(cells), device="cpu", out=str(tmp_path / "runs"), seed=3, **STAGES
    )
    with pytest.raises(KeyboardInterrupt), stop_after(monkeypatch, 1).context():
        train(config, quiet)
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (run,) = (tmp_path / "runs").iterdir()
    ran = lab("reproduce", run)
    assert (ran.code, "equal bit for bit: 1 epoch of" in ran.out) == (0, True), ran.err
    assert lab("train", "--resume", run).code == 0
    ran = lab("reproduce", run)
    assert (ran.code, "equal bit for bit: 3 epochs" in ran.out) == (0, True), ran.err
    assert "tensors of EMA of last.ckpt" in ran.out


def test_another_recipe_parts_at_the_first_epoch_and_names_tensors_with_exit_code_3(
    copy: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    change_recipe(copy, "seed = 0", "seed = 1")
    change_record(copy, torch="1.0", threads="7")
    ran = lab("reproduce", copy)
    assert ran.code == 3
    assert "the initial weights are others" in ran.out
    assert "epoch 1 is the first to differ: train_loss " in ran.out
    assert "tensors differ: " in ran.out
    assert "possible cause: torch 1.0, now" in ran.out
    assert chosen == [7, torch.get_num_threads()]
    (error,) = ran.err.splitlines()
    assert error.startswith(f"error: {copy} was trained again and is not equal: the initial weights are others;")


def test_a_later_learning_rate_parts_at_the_epoch_in_which_it_counts(
    cells: Path, tmp_path: Path, lab: Lab, quiet: Screen
) -> None:
    values = {"epochs": 2, "batch_size": 8, "image_size": 32, "schedule": "step", "milestones": (0.5,), "drop": 0.5}
    config = TrainConfig(architecture="resnet18", data=str(cells), device="cpu", out=str(tmp_path / "runs"), **values)
    run = train(config, quiet).run
    change_recipe(run, "drop = 0.5", "drop = 0.25")
    ran = lab("reproduce", run, "--out", tmp_path / "again")
    assert ran.code == 3
    assert "epoch 2 is the first to differ: learning_rate " in ran.out
    assert "possible cause: none that is recorded" in ran.out
    (again,) = (tmp_path / "again").iterdir()
    assert (again / "best.safetensors").is_file()


def test_replaced_weights_are_found_and_named(copy: Path, lab: Lab) -> None:
    network, card = load_checkpoint(copy / "best.safetensors")
    network.backbone.head.bias.data[0] += 0.25
    save_checkpoint(network, card, copy / "best.safetensors")
    (copy / "last.ckpt").unlink()
    ran = lab("reproduce", copy)
    assert ran.code == 3
    assert "best.safetensors: 1 of " in ran.out
    assert "tensors differ: fc.bias by up to 0.25" in ran.out
    assert "has no last.ckpt, so its last epoch's weights are not compared" in ran.out


def test_weights_of_a_kind_that_torch_does_not_have_are_refused_in_one_line(copy: Path, lab: Lab) -> None:
    path = copy / "best.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name, *_ = (name for name, tensor in header.items() if tensor.get("dtype") == "I64")
    header[name] |= {"dtype": "F8_E8M0", "shape": [8]}
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + size :])
    ran = lab("reproduce", copy)
    assert (ran.code, "best.safetensors" in ran.err, ran.err.count("\n")) == (1, True, 1), ran.err


def test_a_run_of_an_earlier_version_is_reproduced_without_its_record(copy: Path, lab: Lab) -> None:
    (copy / "run.json").unlink()
    ran = lab("reproduce", copy)
    assert (ran.code, "equal bit for bit" in ran.out) == (0, True), ran.err
    assert f"note: an earlier version of lab trained {copy}: processor, threads and device are not recorded" in ran.out


@pytest.mark.parametrize("change", ["an image is gone", "an image has another size"])
def test_other_data_is_refused_with_exit_code_1(
    change: str, run: Path, cells: Path, tmp_path: Path, lab: Lab, temporary: Path
) -> None:
    data = Path(shutil.copytree(cells, tmp_path / "cells"))
    assert lab("reproduce", run, "--data", data).code == 0
    row = (data / "train.csv").read_text().splitlines()[1]
    image = data / row.partition(",")[0]
    if change == "an image is gone":
        (data / "train.csv").write_text((data / "train.csv").read_text().replace(f"{row}\n", ""))
    else:
        image.write_bytes(image.read_bytes() + b"\0")
    ran = lab("reproduce", run, "--data", data)
    assert ran.code == 1
    assert f"has changed since {run} started; give the images as they were, with --data" in ran.err
    assert list(temporary.iterdir()) == []


def test_a_folder_without_a_finished_epoch_is_an_error(tmp_path: Path, lab: Lab) -> None:
    (tmp_path / "empty").mkdir()
    ran = lab("reproduce", tmp_path / "empty")
    assert (ran.code, "has no finished epoch" in ran.err) == (1, True)


def test_a_run_is_reproduced_where_the_names_of_its_folder_and_of_its_data_are_no_utf_8(
    copy: Path, cells: Path, lab: Lab, tmp_path: Path
) -> None:
    data, moved = tmp_path / os.fsdecode(b"b\xffd"), copy.rename(tmp_path / os.fsdecode(b"run\xff"))
    shutil.copytree(cells, data)
    recipe = (moved / "recipe.toml").read_bytes()
    (moved / "recipe.toml").write_bytes(recipe.replace(bytes(cells), bytes(data)))
    ran = lab("reproduce", moved)
    assert ran.code == 0, ran.err
