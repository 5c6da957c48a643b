"""The loop, step by step: what the network is shown, what it learns from, and what is judged."""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import Optimizer

import infer.model.session
from exporter.reference import compute_reference
from infer.core.console import Screen
from infer.dataset.source import read_table
from infer.images.preprocess import read_window
from infer.model.card import IMAGENET, ModelCard, read_card
from trainer.config import TrainConfig
from trainer.data.cache import Canvases
from trainer.data.load import load_data, read_data
from trainer.data.sampling import epoch_order
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, ResNet
from trainer.run.loop import Trainer
from trainer.run.run_folder import RunFolder
from trainer.run.setup import stage_spec

CONFIG = TrainConfig(architecture="resnet18", image_size=32, batch_size=8, epochs=2)
(SETTINGS,) = CONFIG.resolved("cpu")
SPEC = stage_spec(SETTINGS)
COUNT = 24
"""Training images."""


@pytest.fixture
def canvases(cells: Path, quiet: Screen) -> Canvases:
    return load_data(read_data(replace(SETTINGS, data=str(cells)), quiet), SETTINGS, SPEC, quiet)


def make_trainer(canvases: Canvases, **options: Any) -> Trainer:
    """A trainer of a small network, the same for the same data."""
    torch.manual_seed(0)
    (settings,) = replace(CONFIG, **options).resolved("cpu")
    network = PixelNet(ResNet(BasicBlock, (1, 1, 1, 1), 2, base_width=8), IMAGENET)
    return Trainer(settings, SPEC, canvases, network, torch.device("cpu"))


@pytest.fixture
def trainer(canvases: Canvases) -> Trainer:
    return make_trainer(canvases)


def nothing(*_: object) -> None:
    """For an epoch that nobody looks at."""


def run_epochs(trainer: Trainer, *numbers: int) -> list[tuple[float, list[Tensor], list[Tensor]]]:
    """The learning rate, the gradients and the weights afterwards, for each step."""
    seen: list[tuple[float, list[Tensor], list[Tensor]]] = []
    parameters = list(trainer.network.parameters())

    def before(optimizer: Optimizer, *_: object) -> None:
        gradients = [torch.zeros(0) if item.grad is None else item.grad.clone() for item in parameters]
        seen.append((optimizer.param_groups[0]["lr"], gradients, []))

    def after(*_: object) -> None:
        seen[-1][2].extend(item.detach().clone() for item in parameters)

    hooks = [
        trainer.optimizer.register_step_pre_hook(before),
        trainer.optimizer.register_step_post_hook(after),
    ]
    for number in numbers:
        trainer.run_epoch(number, nothing)
    for hook in hooks:
        hook.remove()
    return seen


def used_rows(trainer: Trainer, patch: pytest.MonkeyPatch) -> list[list[int]]:
    """Fills with the rows of every piece that is fed."""
    used: list[list[int]] = []
    batches = trainer.loader.batches
    patch.setattr(trainer.loader, "batches", lambda pieces: used.extend(map(list, pieces)) or batches(pieces))
    return used


def test_training_the_gate_and_prediction_see_the_same_bytes_of_an_image(
    lab: Callable, canvases: Canvases, cells: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(canvases)
    assert trainer.spec == read_card(model).pixels
    seen_in_training: list[np.ndarray] = []
    trainer.network.register_forward_pre_hook(lambda _, inputs: seen_in_training.append(inputs[0].numpy().copy()))
    trainer._validate()
    training = np.concatenate(seen_in_training)

    table = canvases.table.split("valid")
    gate = np.stack(
        list(compute_reference(trainer.network, table.files(), table.labels, read_card(model).pixels).views())
    )

    seen_in_prediction: list[np.ndarray] = []
    real = infer.model.session.Session.run
    monkeypatch.setattr(
        infer.model.session.Session, "run", lambda self, pixels: seen_in_prediction.append(pixels) or real(self, pixels)
    )
    ran = lab("predict", cells / "valid.csv", "--model", model, "--out", tmp_path / "out.csv", "--no-sample")
    assert ran.code == 0, ran.err
    prediction = np.concatenate(seen_in_prediction)

    assert training.dtype == gate.dtype == prediction.dtype == np.uint8
    assert training.shape == (12, 32, 32, 3)
    assert training.tobytes() == gate.tobytes() == prediction.tobytes()
    assert (read_window(table.files()[0], trainer.spec) == training[0]).all()


def test_exact_validation_is_of_the_weights_it_is_handed_and_leaves_the_trainers_own(canvases: Canvases) -> None:
    trainer = make_trainer(canvases)
    first = {name: value.clone() for name, value in trainer.validated.backbone.state_dict().items()}
    expected = trainer._validate()
    trainer.run_epoch(1, nothing)
    own = {name: value.clone() for name, value in trainer.validated.backbone.state_dict().items()}
    trainer.mixed = True  # rounds to bfloat16, which exact validation does not
    probabilities, loss = trainer.validate_exactly(first)
    np.testing.assert_array_equal(probabilities, expected[0])
    assert loss == expected[1]
    assert all(torch.equal(own[name], value) for name, value in trainer.validated.backbone.state_dict().items())
    assert not np.array_equal(trainer._validate()[0], trainer._validate(exact=True)[0])


def test_probabilities_of_validation_come_in_the_tables_order(trainer: Trainer, cells: Path) -> None:
    probabilities, loss = trainer._validate()
    table = read_table(cells).split("valid")
    trainer.network.eval()
    with torch.inference_mode():
        views = np.stack([read_window(file, trainer.spec) for file in table.files()])
        expected = trainer.network(torch.from_numpy(views))[1].numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert loss == pytest.approx(-np.log(expected[np.arange(12), table.labels]).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": "constant"}, [0.5] * 6),
        ({"schedule": "cosine"}, [0.25 + 0.25 * np.cos(np.pi * step / 6) for step in range(6)]),
        ({"warmup": 1.0}, [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]),
        ({"schedule": "step", "milestones": (0.5,), "drop": 0.1}, [0.5] * 3 + [0.05] * 3),
    ],
)
def test_every_step_is_made_at_the_schedules_rate(
    canvases: Canvases, options: dict[str, Any], expected: list[float]
) -> None:
    trainer = make_trainer(canvases, learning_rate=0.5, **options)
    assert [rate for rate, _, _ in run_epochs(trainer, 1, 2)] == pytest.approx(expected)


def test_a_later_stages_schedule_begins_anew(canvases: Canvases) -> None:
    trainer = make_trainer(canvases, learning_rate=0.5, schedule="cosine")
    trainer.first_epoch = 8
    expected = [0.25 + 0.25 * np.cos(np.pi * step / 6) for step in range(3)]
    assert [rate for rate, _, _ in run_epochs(trainer, 8)] == pytest.approx(expected)


def test_weight_decay_is_for_matrices_and_kernels_alone(trainer: Trainer) -> None:
    decayed, free = trainer.optimizer.param_groups
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in free["params"])
    assert (decayed["weight_decay"], free["weight_decay"]) == (5e-4, 0)


def test_each_training_image_is_used_at_most_once_an_epoch_and_the_order_changes(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = used_rows(trainer, monkeypatch)
    epochs = []
    for number in (1, 2):
        used.clear()
        trainer.train_epoch(number, nothing)
        epochs.append(np.concatenate(used).tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(trainer.train_rows)
    assert epochs[0] != epochs[1]


def test_balanced_sampling_feeds_both_classes_equally_often(
    canvases: Canvases, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, splits = canvases.table.labels, np.array(canvases.table.splits)
    few = np.flatnonzero((labels == 1) & (splits == "train"))[3:]
    kept = np.setdiff1d(np.arange(len(labels)), few)
    uneven = Canvases(canvases.table.take(list(kept)), canvases.pixels_nhwc[kept], ())
    trainer = make_trainer(uneven, sampling="balanced", batch_size=4)
    used = used_rows(trainer, monkeypatch)
    trainer.train_epoch(1, nothing)
    counts = np.bincount(uneven.table.labels[np.concatenate(used).tolist()])
    assert uneven.table.counts("train")[1] == 3
    assert abs(counts[0] - counts[1]) <= 1 + len(trainer.train_rows) % 4
    assert counts.sum() == len(trainer.train_rows) // 4 * 4


def first_batch(trainer: Trainer, canvases: Canvases, count: int) -> tuple[Tensor, Tensor]:
    """The evaluation views of the first images of epoch 1, and their labels."""
    rows = trainer.train_rows
    order = epoch_order(rows, canvases.table.labels[rows], "shuffle", 0, 1)[:count]
    files = canvases.table.files()
    windows = np.stack([read_window(files[row], SPEC) for row in order])
    return torch.from_numpy(windows), torch.from_numpy(canvases.table.labels[order])


def test_a_batch_that_is_cut_in_two_has_the_mean_of_its_halves_gradients(canvases: Canvases) -> None:
    trainer = make_trainer(canvases, accumulate=2)
    windows, labels = first_batch(trainer, canvases, 8)
    reference = make_trainer(canvases).network.train()
    halves = [cross_entropy(reference(windows[half])[0], labels[half]) for half in (slice(0, 4), slice(4, 8))]
    expected = torch.autograd.grad((halves[0] + halves[1]) / 2, list(reference.parameters()))
    _, gradients, _ = run_epochs(trainer, 1)[0]
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_clipping_scales_all_gradients_to_the_norm_that_was_given(canvases: Canvases) -> None:
    (_, free, _), (_, clipped, _) = (run_epochs(make_trainer(canvases, clip_norm=norm), 1)[0] for norm in (None, 0.01))
    norms = [torch.cat([gradient.flatten() for gradient in part]).norm().item() for part in (free, clipped)]
    assert norms[0] > 0.1
    assert norms[1] == pytest.approx(0.01, rel=1e-3)
    for short, long in zip(clipped, free, strict=True):
        torch.testing.assert_close(short / norms[1], long / norms[0])


def test_the_ema_weights_are_validated(canvases: Canvases) -> None:
    trainer = make_trainer(canvases, ema=0.3, learning_rate=0.1)
    expected = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    for number, (_, _, weights) in enumerate(run_epochs(trainer, 1, 2), 1):
        decay = min(0.3, (1 + number) / (10 + number))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, weights, strict=True)]
    torch.testing.assert_close(list(trainer.validated.parameters()), expected)
    assert not torch.equal(expected[0], next(trainer.network.parameters()))
    seen: list[PixelNet] = []
    for network in (trainer.network, trainer.validated):
        network.register_forward_pre_hook(lambda module, _: seen.append(module))
    trainer._validate()
    assert set(seen) == {trainer.validated}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam", "nadam", "radam", "rmsprop", "adagrad"])
def test_while_it_is_frozen_only_the_head_learns_and_later_all_of_the_network(
    canvases: Canvases, optimizer: str
) -> None:
    trainer = make_trainer(canvases, freeze=1, optimizer=optimizer, learning_rate=0.01)
    states = [{name: value.clone() for name, value in trainer.network.state_dict().items()}]
    for number in (1, 2):
        trainer.run_epoch(number, nothing)
        states.append({name: value.clone() for name, value in trainer.network.state_dict().items()})
    start, frozen, free = states
    changed = {name for name in start if not torch.equal(start[name], frozen[name])}
    assert changed == {"resnet.fc.weight", "resnet.fc.bias"}
    assert [name for name in start if torch.equal(frozen[name], free[name])] == []


def test_mixed_images_and_labels_are_those_of_an_images_neighbour_in_the_epochs_order(canvases: Canvases) -> None:
    trainer = make_trainer(canvases, augment=("mixup(0.8)",), batch_size=COUNT)
    share = trainer.augment.draws(COUNT, 0, 1)[:, 0]  # of its own pixels and label
    assert 0.1 < share.std() < 0.5
    windows, labels = first_batch(trainer, canvases, COUNT)
    own, partner = windows.float(), windows.float().roll(-1, 0)
    mixed = share[:, None, None, None] * own + (1 - share[:, None, None, None]) * partner
    logits = make_trainer(canvases).network.train()(mixed)[0]
    losses = [cross_entropy(logits, truth, reduction="none") for truth in (labels, labels.roll(-1))]
    expected = (share * losses[0] + (1 - share) * losses[1]).mean().item()
    loss, accuracy = trainer.train_epoch(1, nothing)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_the_loss_and_accuracy_of_an_epoch_are_the_means_over_its_images(canvases: Canvases) -> None:
    """With a rate of almost 0 the weights stay what they were."""
    trainer = make_trainer(canvases, learning_rate=1e-30)
    windows, labels = first_batch(trainer, canvases, COUNT)
    network = make_trainer(canvases).network.train()
    logits = torch.cat([network(windows[start : start + 8])[0] for start in (0, 8, 16)])
    told: list[tuple[int, float]] = []
    loss, accuracy = trainer.train_epoch(1, lambda images, mean, _: told.append((images, mean)))
    assert loss == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert [images for images, _ in told] == [8, 16, 24]
    assert told[-1][1] == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("share", [0, float("inf")], ids=["every epoch is written", "no epoch is written"])
def test_memory_stays_flat_over_epochs(
    canvases: Canvases, tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.run.run_folder.WRITING_SHARE", share)
    stage = make_trainer(canvases, ema=0.9, epochs=5, augment=("hflip, mixup(0.4)",))
    card = ModelCard(
        architecture="resnet18",
        classes=canvases.table.classes,
        pixels=SPEC,
        normalization=IMAGENET,
        ordered=False,
    )
    folder = RunFolder(tmp_path, CONFIG, canvases.table)
    counts = []
    for number in range(1, 6):
        folder.add(stage.run_epoch(number, nothing), stage, card)
        counts.append(live_tensors())
    assert counts[1:] == counts[1:2] * 4


def live_tensors() -> tuple[int, int]:
    """How many there are, and their bytes."""
    gc.collect()
    tensors = [item for item in gc.get_objects() if type(item) in (Tensor, torch.nn.Parameter)]
    return len(tensors), sum(tensor.nbytes for tensor in tensors)
