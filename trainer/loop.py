"""The training loop: one pass over the training images and one look at the validation images, again and again."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from infer.errors import TrainingError
from infer.pixels import PixelSpec, centre_window
from infer.session import Floats
from infer.table import TRAIN, VALID
from trainer.augment import Augmentation
from trainer.canvases import Canvases
from trainer.config import ResolvedConfig
from trainer.network import PixelNet

EARLY_STEPS = 8
"""The first steps of an epoch, each of which is reported; later every tenth is, since a look waits for the device."""
OnStep = Callable[[int, float, float], None]
"""Told after a step: steps done, mean loss so far, images per second so far."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    number: int
    """From 1."""
    learning_rate: float
    """At its start."""
    train_loss: float
    train_accuracy: float
    """Of the augmented images, while the network was learning from them."""
    valid_loss: float
    probabilities: Floats
    """[validation images, K]"""
    seconds: float
    images_per_second: float
    """Of the training part."""


class Trainer:
    """A network with its data, optimizer and schedule on one device.

    Attributes: mixed (bool), whether training computes in bfloat16: on GPUs that do so in hardware, Ampere and later.
    """

    def __init__(
        self, settings: ResolvedConfig, spec: PixelSpec, canvases: Canvases, network: PixelNet, device: torch.device
    ) -> None:
        self.settings = settings
        self.canvases = canvases
        self.spec = spec
        self.device = device
        splits = np.array(canvases.table.splits)
        self.train_rows, self.valid_rows = np.flatnonzero(splits == TRAIN), np.flatnonzero(splits == VALID)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.mixed = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        self.augment = Augmentation(spec, settings.rotation, settings.flips)
        self.steps = len(self.train_rows) // settings.batch_size
        self.optimizer = _optimizer(settings, network)
        total = self.steps * settings.epochs
        factor = {"cosine": lambda step: 0.5 + 0.5 * math.cos(math.pi * step / total), "constant": lambda step: 1.0}
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor[settings.schedule])

    def run_epoch(self, number: int, on_step: OnStep) -> Epoch:
        """Train one epoch and validate.

        Raises:
            TrainingError: the loss is no number any more.
        """
        start = time.perf_counter()
        rate = float(self.optimizer.param_groups[0]["lr"])
        loss, accuracy = self._train(number, on_step)
        trained = time.perf_counter() - start
        probabilities, valid_loss = self._validate()
        if not (math.isfinite(loss) and math.isfinite(valid_loss)):
            lower = self.settings.learning_rate / 10
            raise TrainingError(f"the loss is no number after epoch {number}; try --learning-rate {lower:g}")
        seconds = time.perf_counter() - start
        speed = self.steps * self.settings.batch_size / trained
        return Epoch(number, rate, loss, accuracy, valid_loss, probabilities, seconds, speed)

    def _train(self, number: int, on_step: OnStep) -> tuple[float, float]:
        """Mean loss and accuracy of the steps. The last few images that fill no batch wait for another epoch."""
        self.network.train()
        size, seed = self.settings.batch_size, self.settings.seed
        order = np.random.default_rng([seed, number]).permutation(self.train_rows)[: self.steps * size]
        draws = self.augment.draws(len(self.canvases.table), seed, number)
        totals = torch.zeros(2, device=self.device)
        start = time.perf_counter()
        for step, (rows, canvases, labels) in enumerate(self._batches(order, size), 1):
            windows = self.augment(canvases, draws[torch.from_numpy(rows)])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                logits, _ = self.network(windows)
                loss = functional.cross_entropy(logits, labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            totals += torch.stack([loss.detach(), (logits.argmax(1) == labels).float().mean()])
            if step % 10 == 0 or step == self.steps or step <= EARLY_STEPS:
                on_step(step, totals[0].item() / step, step * size / (time.perf_counter() - start))
        mean_loss, accuracy = (totals / self.steps).tolist()
        return mean_loss, accuracy

    @torch.inference_mode()
    def _validate(self) -> tuple[Floats, float]:
        """Probabilities of the validation images, [n, K], and their mean loss, from the evaluation view, in float32."""
        self.network.eval()
        answers, losses = [], torch.zeros((), device=self.device)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as the exported file will compute
            for _, canvases, labels in self._batches(self.valid_rows, self.settings.batch_size):
                logits, probabilities = self.network(centre_window_of(canvases, self.spec))
                losses += functional.cross_entropy(logits, labels, reduction="sum")
                answers.append(probabilities)
        return torch.cat(answers).float().cpu().numpy(), losses.item() / len(self.valid_rows)

    def _batches(self, rows: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Row numbers, uint8 canvases and labels on the device, read one batch ahead."""
        pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
        with ThreadPoolExecutor(1, "batches") as reader:
            coming = reader.submit(self._read, pieces[0])
            for number, piece in enumerate(pieces):
                canvases, labels = coming.result()
                if number + 1 < len(pieces):
                    coming = reader.submit(self._read, pieces[number + 1])
                yield piece, canvases.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _read(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        canvases = torch.from_numpy(self.canvases.pixels_nhwc[rows])
        labels = torch.from_numpy(self.canvases.table.labels[rows])
        return (canvases.pin_memory(), labels.pin_memory()) if self.device.type == "cuda" else (canvases, labels)


def centre_window_of(canvases_nhwc: Tensor, spec: PixelSpec) -> Tensor:
    """The evaluation view of uint8 canvases on any device, by the one function that cuts it."""
    return centre_window(canvases_nhwc, spec)  # type: ignore[arg-type, return-value]  # slices tensors as it does arrays


def _optimizer(settings: ResolvedConfig, network: PixelNet) -> torch.optim.Optimizer:
    """Weight decay on the weights of convolutions and of the head, not on biases and normalisation."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
