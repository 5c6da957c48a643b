"""The training loop: one pass over the training images and one look at the validation images, again and again."""

import contextlib
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infer.core.arrays import Floats
from infer.core.errors import TrainingError
from infer.dataset.table import TRAIN, VALID
from infer.images.preprocess import PixelSpec, centre_window
from trainer.augment.augmentation import Augmentation
from trainer.config import ResolvedConfig
from trainer.data.cache import Canvases
from trainer.data.device_loader import open_feed
from trainer.data.sampling import epoch_order
from trainer.model.network import PixelNet
from trainer.optim.ema import Ema
from trainer.optim.loss import Objective, class_weights
from trainer.optim.optimizer import build_optimizer
from trainer.optim.schedule import Plateau, rate_factor
from trainer.run.distributed import World, unsynchronised
from trainer.run.meter import Meter
from trainer.run.snapshot import EmaState, TrainerState, cpu_copy

OnStep = Callable[[int, float, float], None]
"""Told now and then during an epoch: images done, mean loss so far, images per second so far."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    number: int
    """From 1."""
    learning_rate: float
    """At its start."""
    train_loss: float
    train_accuracy: float
    """Of the augmented images, while the network was learning from them. Of a mixed image, its own label counts."""
    valid_loss: float
    probabilities: Floats
    """[validation images, K]"""
    seconds: float
    images_per_second: float
    """Of the training part."""


class Trainer:
    """One stage of a run: a network with its data, optimizer and schedule on one device.

    Attributes: mixed (bool), whether training computes in bfloat16: on GPUs that do so in hardware, Ampere and later;
    validated (PixelNet), the network that is validated and saved: that of the EMA where there is one; steps (int), the
    number of optimizer steps per epoch; rate_of, the learning rate of a step of this stage, counted from 0.
    """

    def __init__(
        self,
        settings: ResolvedConfig,
        spec: PixelSpec,
        canvases: Canvases,
        network: PixelNet,
        device: torch.device,
        world: World | None = None,
        first_epoch: int = 1,
    ) -> None:
        self.settings, self.spec, self.device = settings, spec, device
        self.world, self.first_epoch = world or World(), first_epoch
        self.train_rows, self.valid_rows = canvases.table.rows(TRAIN), canvases.table.rows(VALID)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        if settings.sync_bn:
            convert = torch.nn.SyncBatchNorm.convert_sync_batchnorm
            self.network = convert(self.network)  # type: ignore[no-untyped-call]
        self.mixed = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        self.augment = Augmentation(settings.augment_steps, spec, device)
        self.feed = open_feed(canvases.pixels_nhwc, device)
        self.steps = len(self.train_rows) // settings.batch_size
        self.optimizer = build_optimizer(settings, self.network)
        averaged = copy.deepcopy(self.network) if settings.ema else None
        self.ema = Ema(self.network, averaged, settings.ema) if averaged else None
        self.validated = averaged or self.network
        self.plateau = Plateau()
        self.rate_of: Callable[[int], float] = self._scheduled
        weights = class_weights(settings.class_weights, canvases.table.counts(TRAIN))
        self.objective = Objective(None if weights is None else weights.to(device), settings.label_smoothing)
        self._own_labels = canvases.table.labels
        self._labels = torch.from_numpy(canvases.table.labels).to(device)
        self._forward: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = self._loss_and_hits
        self._frozen = False
        self._model = self.world.wrapped(self.network, self.device)

    def run_epoch(self, number: int, on_step: OnStep) -> Epoch:
        """Train one epoch and validate.

        Raises:
            TrainingError: the loss is no number any more.
        """
        start = time.perf_counter()
        self._freeze(number <= self.settings.freeze)
        rate = self._set_rate((number - self.first_epoch) * self.steps)
        loss, accuracy = self.train_epoch(number, on_step)
        trained = time.perf_counter() - start
        self.world.average_buffers(self.network.backbone)
        if self.ema:
            self.world.average_buffers(self.validated.backbone)
        probabilities, valid_loss = self._validate()
        if not (math.isfinite(loss) and math.isfinite(valid_loss)):
            lower = self.settings.learning_rate / 10
            raise TrainingError(f"the loss is no number after epoch {number}; try --learning-rate {lower:g}")
        seconds = time.perf_counter() - start
        speed = self.steps * self.settings.batch_size / trained
        return Epoch(number, rate, loss, accuracy, valid_loss, probabilities, seconds, speed)

    def compile(self, wanted: bool = True) -> None:
        """From the next step on, run augmentation, network and loss as one compiled function, or as they are."""
        self._forward = torch.compile(self._loss_and_hits, dynamic=False) if wanted else self._loss_and_hits
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> TrainerState:
        """A copy of all that changes during training, its tensors on the CPU."""
        return TrainerState(
            network=cpu_copy(self.network.state_dict()),
            optimizer=cpu_copy(self.optimizer.state_dict()),
            ema=EmaState(cpu_copy(self.validated.state_dict()), self.ema.steps) if self.ema else None,
            plateau=replace(self.plateau),
        )

    def load_state(self, state: TrainerState) -> None:
        """Continue from a `state()`."""
        self.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(state.optimizer)
        if self.ema and state.ema:
            self.validated.load_state_dict(state.ema.network)
            self.ema.steps = state.ema.steps
        self.plateau = replace(state.plateau)

    def train_epoch(self, number: int, on_step: OnStep) -> tuple[float, float]:
        """Mean loss and accuracy of the steps. The last few images that fill no batch wait for another epoch.

        A batch is cut into parts, one after the other for each process in turn; every part is one forward pass.
        """
        settings, world = self.settings, self.world
        part = settings.batch_size // (settings.accumulate * world.size)
        own = self._own_labels[self.train_rows]
        order = epoch_order(self.train_rows, own, settings.sampling, settings.seed, number)
        order = order[: self.steps * settings.batch_size]
        more = int(self.augment.mixes)  # an image's partner is the next one, and the last one's the first
        order = np.append(order, order[:more])
        draws = self.augment.draws(len(order), settings.seed, number).to(self.device)
        labels = self._labels[torch.from_numpy(order).to(self.device)]
        parts = range(settings.accumulate * self.steps)
        starts = [(place * world.size + world.rank) * part for place in parts]
        pieces = [order[start : start + part + more] for start in starts]
        self._to_train_mode()
        meter = Meter(self.device)
        step = (number - self.first_epoch) * self.steps
        for place, canvases in zip(parts, self.feed.batches(pieces), strict=True):
            own_part = slice(starts[place], starts[place] + part + more)
            last = (place + 1) % settings.accumulate == 0
            with contextlib.nullcontext() if last else unsynchronised(self._model):
                loss, hits = self._forward(canvases, draws[own_part], labels[own_part])
                (loss / settings.accumulate).backward()  # type: ignore[no-untyped-call]
            meter.add(loss, hits, part)
            if last:
                self._update(step)
                step += 1
                if told := meter.look((place + 1) * part):
                    on_step(told[0] * world.size, *told[1:])
        if told := meter.end(len(starts) * part):
            on_step(told[0] * world.size, *told[1:])
        totals = world.summed(meter.totals) / (self.steps * settings.batch_size)
        mean_loss, accuracy = totals.tolist()
        return mean_loss, accuracy

    def _loss_and_hits(self, canvases: Tensor, draws: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 canvases, draws and labels of n images (n + 1 where they are mixed) -> loss and right answers, []."""
        windows, partners, share = self.augment(canvases, draws), None, None
        if self.augment.mixes:
            windows, share = self.augment.mix(windows, draws)
            labels, partners = labels[:-1], labels[1:]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            logits, _ = self._model(windows)
        loss = self.objective(logits.float(), labels, partners, share)
        return loss, (logits.argmax(1) == labels).sum()

    def _update(self, step: int) -> None:
        """One step of the optimizer, at the learning rate of that step."""
        self._set_rate(step)
        if self.settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update()

    def _scheduled(self, step: int) -> float:
        return self.settings.peak_rate * rate_factor(self.settings, step, self.steps) * self.plateau.factor

    def _set_rate(self, step: int) -> float:
        rate = self.rate_of(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    @torch.inference_mode()
    def _validate(self) -> tuple[Floats, float]:
        """Probabilities of the validation images, [n, K], and their mean loss, from the evaluation view, in float32."""
        self.validated.eval()
        rows = self.world.shard(self.valid_rows)
        size = self.settings.batch_size // (self.settings.accumulate * self.world.size)  # what fits in training
        pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
        answers = [torch.zeros(0, self.validated.backbone.head.out_features, device=self.device)]
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as the exported file will compute
            answers += [self.validated(centre_window_of(batch, self.spec))[0] for batch in self.feed.batches(pieces)]
        logits = self.world.gathered(torch.cat(answers)).float().cpu()
        truth = torch.from_numpy(self._own_labels[self.valid_rows])
        return torch.softmax(logits, 1).numpy(), functional.cross_entropy(logits, truth).item()

    def _freeze(self, frozen: bool) -> None:
        """Let only the head learn, or all of the network."""
        if frozen == self._frozen:
            return
        self._frozen = frozen
        self.network.backbone.requires_grad_(not frozen)
        self.network.backbone.head.requires_grad_(True)
        self._model = self.world.wrapped(self.network, self.device)

    def _to_train_mode(self) -> None:
        self.network.train()
        if self._frozen:
            self.network.eval()  # the statistics of normalisation stay too
            self.network.backbone.head.train()


def centre_window_of(canvases_nhwc: Tensor, spec: PixelSpec) -> Tensor:
    """The evaluation view of uint8 canvases on any device, by the one function that cuts it."""
    return centre_window(canvases_nhwc, spec)  # type: ignore[arg-type, return-value]  # slices tensors as it does arrays
