import csv
import io
import json
import math
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

import trainer.run.precision
import trainer.train
from infer.core.console import Screen
from infer.core.errors import DataError, DeviceError, OutputError, TrainingError
from infer.dataset.source import read_table
from infer.images.preprocess import read_window
from infer.model.card import read_card
from trainer.config import TrainConfig, read_config
from trainer.model.checkpoint import load_checkpoint
from trainer.run.epoch import EpochResult, OnStep
from trainer.run.loop import Trainer
from trainer.run.run_folder import TrainResult
from trainer.run.setup import pick_device
from trainer.run.snapshot import load_snapshot
from trainer.train import train

Train = Callable[..., TrainResult]
Row = dict[str, float]


@pytest.fixture
def train_small(cells: Path, tmp_path: Path, quiet: Screen) -> Train:
    """Train a ResNet-18 on `cells` for one epoch at 32 px, with some options changed."""

    def run(screen: Screen = quiet, **options: Any) -> TrainResult:
        small = {"epochs": 1, "batch_size": 8, "image_size": 32, "device": "cpu", "out": str(tmp_path / "runs")}
        return train(TrainConfig(**{"architecture": "resnet18", "data": str(cells), **small, **options}), screen)

    return run


@pytest.fixture(scope="module")
def trained(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs that follow the recall of one class. Not to be written to."""
    config = TrainConfig(
        architecture="resnet18",
        data=str(cells),
        epochs=2,
        batch_size=8,
        image_size=32,
        optimizer="adamw",
        learning_rate=0.0005,
        schedule="cosine",
        seed=1,
        device="cpu",
        monitor="recall:normal",
        out=str(tmp_path_factory.mktemp("runs")),
    )
    return train(config, Screen()).run


def history(run: Path) -> list[Row]:
    with (run / "history.csv").open(newline="") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def copy_of(cells: Path, folder: Path) -> Path:
    shutil.copytree(cells, folder)
    return folder


def test_a_run_folder_has_all_that_later_commands_need(trained: Path) -> None:
    names = sorted(path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file())
    assert names == [
        "best.safetensors",
        "curves.png",
        "data.csv",
        "history.csv",
        "last.ckpt",
        "recipe.toml",
        "report/confusion.png",
        "report/confusion.svg",
        "report/predictions.csv",
        "report/report.html",
        "report/report.json",
        "run.json",
    ]
    assert "not exported yet" in (trained / "report" / "report.html").read_text(encoding="utf-8")
    for name in ("curves.png", "report/confusion.png"):
        with Image.open(trained / name) as image:
            image.load()
    assert re.fullmatch(r"resnet18-\d{8}-\d{6}", trained.name)


def test_the_recipe_has_every_value_and_gives_the_same_config_again(trained: Path, cells: Path) -> None:
    recipe = tomllib.loads((trained / "recipe.toml").read_text())
    config = read_config(recipe)
    assert (config.epochs, config.batch_size, config.image_size) == (2, 8, 32)
    assert (config.optimizer, config.learning_rate, config.monitor, config.seed) == ("adamw", 5e-4, "recall:normal", 1)
    assert Path(config.data) == cells.resolve()


def test_the_data_table_has_the_training_and_validation_images_alone(trained: Path, cells: Path) -> None:
    with (trained / "data.csv").open(newline="") as lines:
        written = {(row["path"], row["label"], row["split"]) for row in csv.DictReader(lines)}
    expected = {
        (row["Path"], row["label"], split)
        for split in ("train", "valid")
        for row in csv.DictReader((cells / f"{split}.csv").open())
    }
    assert written == expected


def test_the_history_has_one_row_per_epoch_with_sensible_values(trained: Path) -> None:
    rows = history(trained)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert list(rows[0]) == [
        "epoch",
        "learning_rate",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "valid_balanced_accuracy",
        "valid_f1",
        "monitored",
        "best",
        "seconds",
        "images_per_second",
        "stage",
    ]
    for row in rows:
        assert row["train_loss"] > 0
        assert row["valid_loss"] > 0
        assert all(0 <= row[name] <= 1 for name in row if name.endswith(("accuracy", "f1")))
        assert row["train_accuracy"] * 24 == pytest.approx(round(row["train_accuracy"] * 24), abs=1e-4)
        assert row["seconds"] > 0
        assert row["images_per_second"] > 0


def test_a_cosine_takes_the_learning_rate_from_its_start_towards_zero(trained: Path) -> None:
    expected = [0.0005 * (0.5 + 0.5 * math.cos(math.pi * epoch / 2)) for epoch in range(2)]
    assert [row["learning_rate"] for row in history(trained)] == pytest.approx(expected)


def test_best_is_the_epoch_with_the_highest_metric_and_of_equal_ones_that_with_the_smaller_loss(
    train_small: Train, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = read_table(cells).split("valid").labels
    epochs = [(6, 0.5), (9, 0.9), (9, 0.9), (9, 0.8), (8, 0.1)]  # images answered rightly, and the loss
    answers = iter([(np.eye(2)[np.where(np.arange(12) < right, truth, 1 - truth)], loss) for right, loss in epochs])
    monkeypatch.setattr(Trainer, "train_epoch", lambda self, number, on_step: (1.0, 0.5))
    monkeypatch.setattr(Trainer, "_validate", lambda self, exact=False: next(answers))
    done = train_small(epochs=5)
    assert [row["best"] for row in history(done.run)] == [1, 1, 0, 1, 0]
    validation = read_card(done.run / "best.safetensors").provenance["validation"]
    assert (validation["epoch"], validation["accuracy"]) == (4, 9 / 12)
    assert json.loads((done.run / "report" / "report.json").read_text())["accuracy"]["value"] == 9 / 12


def test_metrics_of_the_checkpoint_the_card_and_the_historys_best_row_are_the_same(trained: Path, cells: Path) -> None:
    network, card = load_checkpoint(trained / "best.safetensors")
    table = read_table(cells).split("valid")
    windows = np.stack([read_window(file, card.pixels) for file in table.files()])
    with torch.inference_mode():
        logits, probabilities = network(torch.from_numpy(windows))
    predicted = probabilities.argmax(1).numpy()
    best = [row for row in history(trained) if row["best"]][-1]
    told = card.provenance["validation"]
    assert told["epoch"] == best["epoch"]
    for name, column, value in (
        ("accuracy", "valid_accuracy", accuracy_score(table.labels, predicted)),
        ("balanced_accuracy", "valid_balanced_accuracy", balanced_accuracy_score(table.labels, predicted)),
        ("macro_f1", "valid_f1", f1_score(table.labels, predicted, average="macro")),
    ):
        assert told[name] == best[column] == pytest.approx(value)
    assert best["monitored"] == pytest.approx(recall_score(table.labels, predicted, pos_label=0))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(table.labels))
    assert best["valid_loss"] == pytest.approx(loss.item(), rel=1e-4)
    report = json.loads((trained / "report" / "report.json").read_text())
    assert report["accuracy"]["value"] == told["accuracy"]
    assert np.array(report["confusion"]).sum() == len(table)


def test_the_card_tells_where_the_weights_came_from(trained: Path, cells: Path) -> None:
    card = read_card(trained / "best.safetensors")
    assert [(item.label, item.name) for item in card.classes] == [("0", "normal"), ("1", "blast")]
    assert card.pixels.window == (32, 32)
    assert (card.architecture, card.ordered, card.precision, card.opset) == ("resnet18", False, "fp32", None)
    assert card.provenance["data"]["name"] == "cells"
    assert card.provenance["data"]["train"] == read_table(cells).counts("train")
    assert torch.__version__.startswith(card.provenance["versions"]["torch"])
    assert (card.provenance["seed"], card.provenance["monitor"]) == (1, "recall:normal")


def test_the_same_seed_gives_the_same_checkpoint_to_the_byte_and_another_seed_another(train_small: Train) -> None:
    one, again, other = (
        (train_small(seed=seed, epochs=epochs).run / "best.safetensors").read_bytes()
        for seed, epochs in ((3, 1), (3, 1), (4, 1))
    )
    assert one == again
    assert one != other


def save_12_bit(cells: Path, target: Path) -> Path:
    """`cells` as 12-bit grey in 16-bit PNG files, under their old names."""
    for path in shutil.copytree(cells, target).rglob("*.jpg"):
        grey = np.array(Image.open(path).convert("L")).astype(np.uint16)
        grey[0, 0] = 250
        Image.fromarray(grey * 16).save(path, "PNG", compress_level=1)
    return target


def test_bits_that_are_chosen_from_the_images_are_in_the_recipe_and_the_card_and_make_the_pixels(
    cells: Path, tmp_path: Path, train_small: Train
) -> None:
    text = io.StringIO()
    data = save_12_bit(cells, tmp_path / "deep")
    run = train_small(Screen(Console(file=text, width=400)), data=str(data), bits="auto").run
    assert "--bits auto: 12, as the largest value of 36 images is 4,000" in text.getvalue()
    assert "so they are dark" not in text.getvalue()
    assert tomllib.loads((run / "recipe.toml").read_text())["bits"] == "12"
    spec = read_card(run / "best.safetensors").pixels
    assert spec.bits == 12
    file = next((data / "test").glob("*.jpg"))
    assert read_window(str(file), spec).max() > 50 > 16 >= read_window(str(file), replace(spec, bits=16)).max()


def test_dark_values_are_said_where_no_bits_are_given(cells: Path, tmp_path: Path, train_small: Train) -> None:
    text = io.StringIO()
    train_small(Screen(Console(file=text, width=400)), data=str(save_12_bit(cells, tmp_path / "deep")))
    assert "which takes 12 bits, and white is 65,535 (16 bits), so they are dark; train with --bits 12" in (
        text.getvalue()
    )


def test_bits_change_nothing_where_no_image_is_deep(cells: Path, train_small: Train) -> None:
    run = train_small(data=str(cells), bits="auto").run
    assert tomllib.loads((run / "recipe.toml").read_text())["bits"] == "16"


def test_fewer_images_than_a_batch_is_an_error_that_names_a_batch_size_that_fits(train_small: Train) -> None:
    with pytest.raises(
        DataError, match="24 training images are fewer than the batch size of 25; give --batch-size 24 or less"
    ):
        train_small(batch_size=25)


def test_the_smallest_batch_of_the_smallest_images_can_be_trained_on(train_small: Train) -> None:
    """At 32 px the last stage has one pixel an image, and batch normalisation needs two values."""
    assert (train_small(batch_size=2).run / "best.safetensors").is_file()


def test_images_that_cannot_be_read_are_named_and_left_out(
    train_small: Train, cells: Path, tmp_path: Path, heard: tuple[Screen, io.StringIO]
) -> None:
    data = copy_of(cells, tmp_path / "cells")
    bad = [next((data / split).glob("*.jpg")) for split in ("train", "valid")]
    for path in bad:
        path.write_bytes(b"no image")
    screen, text = heard
    done = train_small(screen, data=str(data))
    assert "2 images cannot be read and are left out: " in text.getvalue()
    left_out = [f"{path.parent.name}/{path.name}" for path in bad]
    assert all(name in text.getvalue() for name in left_out)
    with (done.run / "data.csv").open(newline="") as lines:
        used = [row["path"] for row in csv.DictReader(lines)]
    assert len(used) == 34
    assert not set(left_out) & set(used)
    assert done.metrics.images == 11
    assert sum(read_card(done.run / "best.safetensors").provenance["data"]["train"]) == 23


def test_listed_images_are_left_out_of_the_run_and_the_recipe_names_the_list(
    train_small: Train, cells: Path, tmp_path: Path
) -> None:
    gone = read_table(cells).split("train").paths[0]
    (tmp_path / "bad.csv").write_text(f"Path,split,reason\n{gone},,blurred\n")
    run = train_small(exclude=str(tmp_path / "bad.csv")).run
    with (run / "data.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert len(paths) == 35
    assert gone not in paths
    assert tomllib.loads((run / "recipe.toml").read_text())["exclude"] == str(tmp_path / "bad.csv")


def test_a_list_of_images_to_leave_out_that_is_not_there_is_named(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        train_small(exclude=str(tmp_path / "none.csv"))


def test_no_readable_validation_image_is_an_error(train_small: Train, cells: Path, tmp_path: Path) -> None:
    data = copy_of(cells, tmp_path / "cells")
    for path in (data / "valid").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"no validation image of .*cells can be read"):
        train_small(data=str(data))


def test_a_loss_that_diverges_is_an_error_that_names_a_smaller_learning_rate(train_small: Train) -> None:
    with pytest.raises(TrainingError, match=r"the loss became NaN or infinite in epoch 1; try --learning-rate 100000$"):
        train_small(learning_rate=1e6)


def test_a_loss_that_diverges_late_still_names_a_part_of_the_rate_that_was_given(
    train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of what the schedule has left of it by then."""
    validate = Trainer._validate
    losses = iter([1.0, 1.0, math.nan])
    monkeypatch.setattr(Trainer, "_validate", lambda self, exact=False: (validate(self)[0], next(losses)))
    with pytest.raises(TrainingError, match=r"NaN or infinite in epoch 3; try --learning-rate 0\.001$"):
        train_small(learning_rate=0.01, epochs=3)


def test_exhausted_memory_names_what_to_make_smaller_and_keeps_the_finished_epochs(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_epoch = Trainer.run_epoch

    def exhausted(self: Trainer, number: int, on_step: OnStep) -> EpochResult:
        if number == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB")
        return run_epoch(self, number, on_step)

    monkeypatch.setattr(Trainer, "run_epoch", exhausted)
    message = (
        "batches of 8 images of 32 px; try --accumulate 2, a smaller --batch-size or --image-size, or a smaller network"
    )
    with pytest.raises(DeviceError, match=message) as caught:
        train_small(epochs=2)
    assert "\n" not in str(caught.value)
    (run,) = (tmp_path / "runs").iterdir()
    assert len(history(run)) == 1
    load_checkpoint(run / "best.safetensors")


def test_an_interrupted_run_keeps_its_best_epoch_with_curves_and_report(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: tuple[Screen, io.StringIO]
) -> None:
    run_epoch = Trainer.run_epoch

    def interrupted(self: Trainer, number: int, on_step: OnStep) -> EpochResult:
        if number == 2:
            raise KeyboardInterrupt
        return run_epoch(self, number, on_step)

    monkeypatch.setattr(Trainer, "run_epoch", interrupted)
    screen, text = heard
    with pytest.raises(KeyboardInterrupt):
        train_small(screen, epochs=2)
    (run,) = (tmp_path / "runs").iterdir()
    assert {"best.safetensors", "history.csv", "curves.png", "report"} <= {path.name for path in run.iterdir()}
    assert f"lab export {run}" in text.getvalue()


def test_an_out_folder_that_cannot_be_made_is_an_error_that_names_the_option(
    train_small: Train, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(OutputError, match=r"cannot write .*file.*; choose another path with --out"):
            train_small(out=str(out))


def test_cuda_where_there_is_none_is_refused_before_any_work(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"--device cuda: .*no usable NVIDIA GPU; choose --device cpu"):
        train_small(device="cuda", data=str(tmp_path / "not even looked at"))
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")


def test_a_missing_data_folder_is_named(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder .*nowhere does not exist; check the path"):
        train_small(data=str(tmp_path / "nowhere"))


def test_training_can_start_from_another_runs_weights(
    train_small: Train, trained: Path, heard: tuple[Screen, io.StringIO]
) -> None:
    """With a learning rate of almost 0 the weights stay what they were."""
    screen, text = heard
    start = trained / "best.safetensors"
    done = train_small(screen, weights=str(start), learning_rate=1e-30, weight_decay=0.0)
    assert f"{start}: {len(load_file(start))} tensors loaded" in text.getvalue()
    before, after = (load_checkpoint(path)[0].state_dict() for path in (start, done.run / "best.safetensors"))
    assert all(torch.equal(before[name], after[name]) for name in before if name.endswith("conv1.weight"))


def test_the_screen_tells_the_run_every_epoch_and_what_is_monitored(
    train_small: Train, heard: tuple[Screen, io.StringIO]
) -> None:
    screen, text = heard
    done = train_small(screen, epochs=2, monitor="recall:blast")
    assert f"run: {done.run}" in text.getvalue()
    lines = [line for line in text.getvalue().splitlines() if line.startswith("epoch ")]
    assert [line[:9] for line in lines] == ["epoch   1", "epoch   2"]
    for line, row in zip(lines, history(done.run), strict=True):
        assert f"recall:blast {row['monitored']:.2%}" in line
        assert line.endswith("best") == bool(row["best"])


def with_accuracies(right: list[int], cells: Path, patch: pytest.MonkeyPatch) -> None:
    """Let every epoch answer so many of the 12 validation images rightly, with a loss of 1."""
    truth = read_table(cells).split("valid").labels
    answers = iter([(np.eye(2)[np.where(np.arange(12) < number, truth, 1 - truth)], 1.0) for number in right])
    patch.setattr(Trainer, "_validate", lambda self, exact=False: next(answers))


def test_a_run_stops_early_and_says_so_when_the_metric_has_not_been_better_for_a_while(
    train_small: Train, cells: Path, heard: tuple[Screen, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accuracies([6, 8, 7, 9, 9, 9], cells, monkeypatch)
    screen, text = heard
    done = train_small(screen, epochs=20, patience=2)
    assert [row["best"] for row in history(done.run)] == [1, 1, 0, 1, 0, 0]
    assert "early stopping: accuracy has not improved for 2 epochs" in text.getvalue()


def test_patience_is_for_each_stage(train_small: Train, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_accuracies([9, 8, 8, 8, 8, 8], cells, monkeypatch)
    done = train_small(patience=2, stages=({"epochs": 9}, {"epochs": 9, "learning_rate": 0.001}))
    assert [row["learning_rate"] for row in history(done.run)] == pytest.approx([0.05] * 3 + [0.001] * 2)


def test_on_a_plateau_the_rate_drops(train_small: Train, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_accuracies([6, 8, 8, 8, 9, 8, 8, 8], cells, monkeypatch)
    done = train_small(epochs=8, schedule="plateau", plateau=2, drop=0.5, learning_rate=0.02)
    expected = [0.02] * 4 + [0.01] * 3 + [0.005]
    assert [row["learning_rate"] for row in history(done.run)] == pytest.approx(expected)


def test_during_warm_up_the_rate_rises(train_small: Train) -> None:
    done = train_small(epochs=4, warmup=2.0, learning_rate=0.07)  # of 6 steps, and the 7th has all of it
    assert [row["learning_rate"] for row in history(done.run)] == pytest.approx([0.01, 0.04, 0.07, 0.07])


def test_a_second_stage_has_its_own_image_size_and_may_start_from_the_best_weights(
    train_small: Train, cells: Path, heard: tuple[Screen, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accuracies([9, 8, 10], cells, monkeypatch)
    before: list[dict[str, torch.Tensor]] = []
    train_epoch = Trainer.train_epoch

    def seen(self: Trainer, number: int, on_step: OnStep) -> tuple[float, float]:
        before.append({name: value.clone() for name, value in self.network.resnet.state_dict().items()})
        return train_epoch(self, number, on_step)

    monkeypatch.setattr(Trainer, "train_epoch", seen)
    screen, text = heard
    stages = ({"epochs": 2}, {"epochs": 1, "image_size": 48, "stage_start": "best"})
    done = train_small(screen, stages=stages)
    assert "stage 2 of 2: 48 px, 1 epoch, learning rate 0.05, from the best weights" in text.getvalue()
    assert all(torch.equal(before[1][name], before[2][name]) for name in before[1])  # of the end of the first epoch
    assert not all(torch.equal(before[0][name], before[1][name]) for name in before[0])
    card = read_card(done.run / "best.safetensors")
    assert (card.pixels.window, card.provenance["validation"]["epoch"]) == ((48, 48), 3)
    assert [row["epoch"] for row in history(done.run)] == [1, 2, 3]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_training_on_cuda_leaves_a_checkpoint_that_answers_on_the_cpu_as_it_did_there(
    train_small: Train, cells: Path
) -> None:
    done = train_small(device="cuda", epochs=2)
    network, card = load_checkpoint(done.run / "best.safetensors")
    files = read_table(cells).split("valid").files()
    windows = np.stack([read_window(file, card.pixels) for file in files])
    with torch.inference_mode():
        _, probabilities = network(torch.from_numpy(windows))
    np.testing.assert_allclose(probabilities.numpy(), done.result.probabilities, rtol=0, atol=0.02)
    assert len(history(done.run)) == 2


def test_a_stage_that_cannot_fit_into_the_cache_is_refused_before_the_first_one(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "0.01")
    with pytest.raises(OutputError, match="the decoded images take 68 MB"):
        train_small(stages=({"image_size": 32}, {"image_size": 600}))
    assert not list(tmp_path.glob("runs/*/history.csv"))


def test_an_error_in_a_later_stage_keeps_the_finished_epochs_and_says_how_to_go_on(
    train_small: Train, tmp_path: Path, heard: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = trainer.train.load_data

    def fail(table: Any, settings: Any, *rest: Any) -> Any:
        if settings.image_size == 48:
            raise OutputError("the disk is full")
        return load(table, settings, *rest)

    monkeypatch.setattr(trainer.train, "load_data", fail)
    screen, text = heard
    with pytest.raises(OutputError):
        train_small(screen=screen, stages=({"epochs": 3}, {"image_size": 48}))
    (run,) = (tmp_path / "runs").iterdir()
    assert f"resume: lab train --resume {run}" in text.getvalue()
    assert len(load_snapshot(run).rows) == 3
    assert {"best.safetensors", "curves.png", "report"} <= {path.name for path in run.iterdir()}


def test_training_in_bfloat16_is_repeatable_and_the_kept_epochs_figures_are_those_of_the_exported_file(
    train_small: Train, cells: Path, heard: tuple[Screen, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.run.precision, "bf16_instructions", lambda: ("amx_bf16",))
    screen, text = heard
    first, second = (train_small(screen, precision="bf16", epochs=2) for _ in range(2))
    plain = train_small(precision="fp32", epochs=2)
    weights = [(done.run / "best.safetensors").read_bytes() for done in (first, second, plain)]
    assert weights[0] == weights[1] != weights[2]
    assert "training in bfloat16" in text.getvalue()
    assert "validated in float32 as its exported file computes" in " ".join(text.getvalue().split())
    assert tomllib.loads((first.run / "recipe.toml").read_text())["precision"] == "bf16"
    network, card = load_checkpoint(first.run / "best.safetensors")
    table = read_table(cells).split("valid")
    windows = np.stack([read_window(file, card.pixels) for file in table.files()])
    with torch.inference_mode():
        expected = network(torch.from_numpy(windows))[1].numpy()
    np.testing.assert_allclose(first.result.probabilities, expected, atol=1e-5)
