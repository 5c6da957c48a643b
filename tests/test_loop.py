"""The evaluation view is one: training, the gate and prediction see the same bytes of an image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import infer.session
from exporter.parity import read_views
from infer.card import read_card
from infer.pixels import PixelSpec, read_window
from infer.screen import Screen
from trainer.canvases import Canvases
from trainer.config import TrainConfig
from trainer.data import load_data, read_data
from trainer.loop import Trainer
from trainer.network import PixelNet
from trainer.resnet import BasicBlock, ResNet


def make_trainer(canvases: Canvases, spec: PixelSpec, normalization: object, **options: object) -> Trainer:
    torch.manual_seed(0)
    settings = TrainConfig(architecture="resnet18", image_size=32, batch_size=8, epochs=2, **options).resolved("cpu")
    network = PixelNet(ResNet(BasicBlock, (1, 1, 1, 1), 2, base_width=8), normalization)
    return Trainer(settings, spec, canvases, network, torch.device("cpu"))


@pytest.fixture
def trainer(cells: Path, model: Path, quiet: Screen) -> Trainer:
    card = read_card(model)
    settings = TrainConfig(architecture="resnet18", data=str(cells), image_size=32, batch_size=8).resolved("cpu")
    canvases = load_data(read_data(settings, quiet), settings, card.pixels, quiet)
    return make_trainer(canvases, card.pixels, card.normalization)


def test_training_the_gate_and_prediction_see_the_same_bytes_of_an_image(
    lab: Callable, trainer: Trainer, cells: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_in_training: list[np.ndarray] = []
    trainer.network.register_forward_pre_hook(lambda _, inputs: seen_in_training.append(inputs[0].numpy().copy()))
    trainer._validate()
    training = np.concatenate(seen_in_training)

    table = trainer.canvases.table.split("valid")
    gate, rows = read_views(table.files(), read_card(model).pixels, limit=99)
    assert rows == list(range(12))

    seen_in_prediction: list[np.ndarray] = []
    real = infer.session.Session.run
    monkeypatch.setattr(
        infer.session.Session, "run", lambda self, pixels: seen_in_prediction.append(pixels) or real(self, pixels)
    )
    ran = lab("predict", cells / "valid.csv", "--model", model, "--out", tmp_path / "out.csv", "--no-sample")
    assert ran.code == 0, ran.err
    prediction = np.concatenate(seen_in_prediction)

    assert training.dtype == gate.dtype == prediction.dtype == np.uint8
    assert training.shape == (12, 32, 32, 3)
    assert training.tobytes() == gate.tobytes() == prediction.tobytes()
    assert (read_window(table.files()[0], trainer.spec) == training[0]).all()


def test_probabilities_of_validation_come_in_the_tables_order(trainer: Trainer) -> None:
    probabilities, loss = trainer._validate()
    table = trainer.canvases.table.split("valid")
    trainer.network.eval()
    with torch.inference_mode():
        views = np.stack([read_window(file, trainer.spec) for file in table.files()])
        expected = trainer.network(torch.from_numpy(views))[1].numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert loss == pytest.approx(-np.log(expected[np.arange(12), table.labels]).mean(), rel=1e-5)


def test_the_cosine_schedule_ends_at_zero_and_the_constant_one_does_not_move(trainer: Trainer) -> None:
    for schedule, end in (("cosine", 0.0), ("constant", 0.5)):
        one = make_trainer(
            trainer.canvases, trainer.spec, read_normalization(trainer), schedule=schedule, learning_rate=0.5
        )
        for number in (1, 2):
            one.run_epoch(number, lambda *_: None)
        assert one.optimizer.param_groups[0]["lr"] == pytest.approx(end, abs=1e-9)


def test_weight_decay_is_for_matrices_and_kernels_alone(trainer: Trainer) -> None:
    decayed, free = trainer.optimizer.param_groups
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in free["params"])
    assert (decayed["weight_decay"], free["weight_decay"]) == (5e-4, 0)


def test_each_training_image_is_used_at_most_once_an_epoch_and_the_order_changes(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[list[int]] = []
    real = trainer._batches
    monkeypatch.setattr(trainer, "_batches", lambda rows, size: used.append(list(rows)) or real(rows, size))
    for number in (1, 2):
        trainer.run_epoch(number, lambda *_: None)
    first, second = used[0], used[2]
    assert sorted(first) == sorted(second) == list(trainer.train_rows)
    assert first != second


def read_normalization(trainer: Trainer) -> object:
    from infer.card import Normalization

    scale = [1 / value for value in trainer.network.scale.tolist()]
    return Normalization.per_channel(tuple(trainer.network.mean.tolist()), tuple(scale))
