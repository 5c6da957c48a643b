"""The training loop: an epoch of training, then validation, and so on."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infer.core.arrays import Floats
from infer.core.errors import TrainingError
from infer.dataset.table import TRAIN, VALID
from infer.images.preprocess import PixelSpec
from trainer.augment.augmentation import Augmentation
from trainer.augment.plan import Plan
from trainer.config import ResolvedConfig
from trainer.data.cache import Canvases
from trainer.data.device_loader import open_loader
from trainer.data.sampling import epoch_order
from trainer.model.network import PixelNet
from trainer.optim.ema import Ema
from trainer.optim.loss import Loss, class_weights
from trainer.optim.optimizer import build_optimizer
from trainer.optim.schedule import Plateau, rate_factor
from trainer.run.distributed import ProcessGroup, without_gradient_sync
from trainer.run.epoch import EpochResult, OnStep
from trainer.run.meter import Meter
from trainer.run.precision import resolve_precision
from trainer.run.snapshot import EmaState, TrainerState, cpu_copy
from trainer.run.validation import computes_exactly, validation_logits


class Trainer:
    """Trains one stage of a run: a network, its data, optimizer and schedule, on one device.

    Attributes: mixed (bool), whether training computes in bfloat16;
    exact (bool), whether training computes as the exported file does; validated (PixelNet), the network that is
    validated and saved: that of the EMA where there is one; steps (int), the number of optimizer steps per epoch;
    rate_at_step, the learning rate by the step of this stage, counted from 0.
    """

    def __init__(
        self,
        settings: ResolvedConfig,
        spec: PixelSpec,
        canvases: Canvases,
        network: PixelNet,
        device: torch.device,
        group: ProcessGroup | None = None,
        first_epoch: int = 1,
    ) -> None:
        """Move the network to the device, and open its data there.

        Args:
            settings: the stage.
            spec: the canvases' own.
            canvases: the images of all splits.
            network: on any device; it is trained in place.
            device: where it is trained.
            group: this process and the others; None: this process alone.
            first_epoch: number of the stage's first epoch in the run.
        """
        self.settings, self.spec, self.device = settings, spec, device
        self.group, self.first_epoch = group or ProcessGroup(), first_epoch
        self.train_rows, self.valid_rows = canvases.table.rows(TRAIN), canvases.table.rows(VALID)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        if settings.sync_bn:
            convert = torch.nn.SyncBatchNorm.convert_sync_batchnorm
            self.network = convert(self.network)  # type: ignore[no-untyped-call]
        self.mixed = resolve_precision(settings.precision, device) == "bf16"
        self.exact = computes_exactly(device, self.mixed)
        self.augment = Augmentation(settings.augment_steps, spec, device)
        self.loader = open_loader(canvases.pixels_nhwc, device)
        self.steps = len(self.train_rows) // settings.batch_size
        self.optimizer = build_optimizer(settings, self.network)
        averaged = copy.deepcopy(self.network) if settings.ema else None
        self.ema = Ema(self.network, averaged, settings.ema) if averaged else None
        self.validated = averaged or self.network
        self.plateau = Plateau()
        self.rate_at_step: Callable[[int], float] = self._scheduled_rate
        weights = class_weights(settings.class_weights, canvases.table.counts(TRAIN))
        self.loss = Loss(None if weights is None else weights.to(device), settings.label_smoothing)
        self._labels_on_host = canvases.table.labels
        self._labels = torch.from_numpy(canvases.table.labels).to(device)
        self._forward: Callable[[Tensor, Plan, Tensor], tuple[Tensor, Tensor]] = self._loss_and_correct
        self._frozen = False
        self._model = self.group.data_parallel(self.network, self.device)

    @property
    def arithmetic(self) -> str:
        """The precision of training, for people."""
        return "bfloat16" if self.mixed else "float32" if self.exact else "float32 with TF32"

    def run_epoch(self, number: int, on_step: OnStep) -> EpochResult:
        """Train one epoch and validate.

        Raises:
            TrainingError: the loss became NaN or infinite.
        """
        start = time.perf_counter()
        self._freeze(number <= self.settings.freeze)
        rate = self._set_rate((number - self.first_epoch) * self.steps)
        loss, accuracy = self.train_epoch(number, on_step)
        trained = time.perf_counter() - start
        self.group.average_buffers(self.network.backbone)
        if self.ema:
            self.group.average_buffers(self.validated.backbone)
        probabilities, valid_loss = self._validate()
        if not (math.isfinite(loss) and math.isfinite(valid_loss)):
            lower = self.settings.learning_rate / 10
            raise TrainingError(f"the loss became NaN or infinite in epoch {number}; try --learning-rate {lower:g}")
        seconds = time.perf_counter() - start
        speed = self.steps * self.settings.batch_size / trained
        return EpochResult(number, rate, loss, accuracy, valid_loss, probabilities, seconds, speed)

    def compile(self, enabled: bool = True) -> None:
        """From the next step on, run augmentation, network and loss as one compiled function, or uncompiled."""
        self._forward = torch.compile(self._loss_and_correct, dynamic=False) if enabled else self._loss_and_correct
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
        """Train one epoch; its mean loss and accuracy. The last images, too few for a batch, wait for another epoch.

        A batch is cut into parts of equal size, dealt to the processes in turn; each part is one forward pass.
        """
        settings, group = self.settings, self.group
        part_size = settings.batch_size // (settings.accumulate * group.world_size)
        train_labels = self._labels_on_host[self.train_rows]
        order = epoch_order(self.train_rows, train_labels, settings.sampling, settings.seed, number)
        order = order[: self.steps * settings.batch_size]
        extra = int(self.augment.mixes)  # an image is mixed with the next one, and the last with the first
        order = np.append(order, order[:extra])
        draws = self.augment.draws(len(order), settings.seed, number).to(self.device)
        labels = self._labels[torch.from_numpy(order).to(self.device)]
        parts = range(settings.accumulate * self.steps)
        starts = [(index * group.world_size + group.rank) * part_size for index in parts]
        rows = [order[start : start + part_size + extra] for start in starts]
        self._set_train_mode()
        meter = Meter(self.device)
        step = (number - self.first_epoch) * self.steps
        plans = self.augment.plans(draws, starts, part_size + extra)
        for index, canvases, plan in zip(parts, self.loader.batches(rows), plans, strict=True):
            part_labels = labels[starts[index] : starts[index] + part_size + extra]
            is_last = (index + 1) % settings.accumulate == 0
            with contextlib.nullcontext() if is_last else without_gradient_sync(self._model):
                loss, correct = self._forward(canvases, plan, part_labels)
                (loss / settings.accumulate if settings.accumulate > 1 else loss).backward()  # type: ignore[no-untyped-call]
            meter.add(loss, correct, part_size)
            if is_last:
                self._update(step)
                step += 1
                if figures := meter.read((index + 1) * part_size):
                    on_step(figures[0] * group.world_size, *figures[1:])
        if figures := meter.read_final(len(starts) * part_size):
            on_step(figures[0] * group.world_size, *figures[1:])
        totals = group.all_reduce(meter.totals) / (self.steps * settings.batch_size)
        mean_loss, accuracy = totals.tolist()
        return mean_loss, accuracy

    def _loss_and_correct(self, canvases: Tensor, plan: Plan, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, [], and the number of correct predictions, [], of a part.

        Canvases uint8 [n, canvas H, canvas W, 3], a plan of n samples, labels int64 [n]; n + 1 where images are mixed.
        """
        windows, partners, share = self.augment(canvases, plan), None, None
        if self.augment.mixes:
            windows, share = self.augment.mix(windows, plan)
            labels, partners = labels[:-1], labels[1:]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            logits, _ = self._model(windows)
        loss = self.loss(logits.float(), labels, partners, share)
        return loss, (logits.argmax(1) == labels).sum()

    def _update(self, step: int) -> None:
        """Take a step of the optimizer, at the learning rate of that step."""
        self._set_rate(step)
        if self.settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update()

    def _scheduled_rate(self, step: int) -> float:
        return self.settings.peak_rate * rate_factor(self.settings, step, self.steps) * self.plateau.factor

    def _set_rate(self, step: int) -> float:
        rate = self.rate_at_step(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def validate_exactly(self, weights: Mapping[str, Tensor]) -> tuple[Floats, float]:
        """Probabilities, float32 [n, K], and mean loss of the validation images, as a file exported of `weights`."""
        current = cpu_copy(self.validated.backbone.state_dict())
        self.validated.backbone.load_state_dict(weights)
        try:
            return self._validate(exact=True)
        finally:
            self.validated.backbone.load_state_dict(current)

    def _validate(self, exact: bool = False) -> tuple[Floats, float]:
        """Probabilities of the validation images, float32 [n, K], and their mean loss, from the evaluation views.

        `exact`: in float32, as the exported file computes; otherwise as training computes.
        """
        rows = self.group.shard(self.valid_rows)
        size = self.settings.batch_size // (self.settings.accumulate * self.group.world_size)  # fits into memory
        batches = self.loader.batches([rows[start : start + size] for start in range(0, len(rows), size)])
        logits = validation_logits(self.validated, batches, self.spec, self.device, self.mixed, exact)
        all_logits = self.group.all_gather(logits).cpu()
        labels = torch.from_numpy(self._labels_on_host[self.valid_rows])
        return torch.softmax(all_logits, 1).numpy(), functional.cross_entropy(all_logits, labels).item()

    def _freeze(self, frozen: bool) -> None:
        """Freeze all but the head, or nothing."""
        if frozen == self._frozen:
            return
        self._frozen = frozen
        self.network.backbone.requires_grad_(not frozen)
        self.network.backbone.head.requires_grad_(True)
        self._model = self.group.data_parallel(self.network, self.device)

    def _set_train_mode(self) -> None:
        self.network.train()
        if self._frozen:
            self.network.eval()  # keeps the statistics of batch normalisation too
            self.network.backbone.head.train()
