"""The number of operations in a training step: on a GPU each is a launch, and small networks wait for launches."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from infer.core.console import Screen
from infer.model.card import IMAGENET
from trainer.config import TrainConfig
from trainer.data.load import load_data, read_data
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, ResNet
from trainer.run.loop import Trainer
from trainer.run.setup import stage_spec

BATCH = 8
DEFAULT = ("rotation(20)", "hflip", "vflip")
"""The augmentation of the recipe that `lab train` uses by default."""
EVERYTHING = (*DEFAULT, "jitter(0.2)", "erasing", "cutmix(1)")
"""Steps of each kind: colours, rectangles and mixing are applied to pixels in every step."""


class Launches(TorchDispatchMode):
    """Counts the operations that a GPU runs as kernels: not views, nor empty memory, nor a number that is read."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if not (func.is_view or any(part in name for part in ("detach", "aten.empty", "_local_scalar_dense"))):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def make_trainer(cells: Path, quiet: Screen) -> Callable[..., Trainer]:
    def make(augment: tuple[str, ...], batch_size: int) -> Trainer:
        config = TrainConfig(
            architecture="resnet18", image_size=32, batch_size=batch_size, data=str(cells), augment=augment
        )
        (settings,) = config.resolved("cpu")
        spec = stage_spec(settings)
        canvases = load_data(read_data(settings, quiet), settings, spec, quiet)
        network = PixelNet(ResNet(BasicBlock, (1, 1, 1, 1), 2, base_width=8), IMAGENET)
        return Trainer(settings, spec, canvases, network, torch.device("cpu"))

    return make


def launches_of_a_step(trainer: Trainer) -> Counter[str]:
    """The operations of one more step in an epoch, so that those of an epoch do not count."""
    trainer.train_epoch(1, lambda *_: None)  # the optimizer's first step makes its buffers
    with Launches() as more:
        trainer.train_epoch(2, lambda *_: None)
    trainer.steps -= 1
    with Launches() as fewer:
        trainer.train_epoch(2, lambda *_: None)
    return more.counts - fewer.counts


def launches_of_a_bare_step(trainer: Trainer) -> Counter[str]:
    """Forward, loss, backward and optimizer, of pixels that are on the device."""
    network, optimizer = trainer.network.train(), trainer.optimizer
    pixels, labels = torch.zeros(BATCH, 32, 32, 3, dtype=torch.uint8), torch.zeros(BATCH, dtype=torch.int64)

    def step() -> None:
        cross_entropy(network(pixels)[0], labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    with Launches() as bare:
        step()
    return bare.counts


@pytest.mark.parametrize(("augment", "allowed"), [((), 15), (DEFAULT, 15), (EVERYTHING, 45)])
def test_a_step_launches_little_more_than_a_bare_one(
    augment: tuple[str, ...], allowed: int, make_trainer: Callable[..., Trainer]
) -> None:
    trainer = make_trainer(augment, BATCH)
    own, bare = launches_of_a_step(trainer), launches_of_a_bare_step(trainer)
    extra = own.total() - bare.total()
    assert 0 < extra <= allowed, {name: own[name] - bare[name] for name in {*own, *bare} if own[name] != bare[name]}
