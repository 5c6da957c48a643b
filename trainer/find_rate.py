"""`lab find-rate`: the learning-rate range test of https://arxiv.org/abs/1506.01186, with a plot."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from infer.core.console import Screen
from infer.core.csv_files import csv_text, read_csv
from infer.core.errors import ConfigError, DataError
from infer.core.exclusive import exclusive
from infer.core.file_sets import file_set
from infer.core.output_paths import require_file_name, require_local
from infer.reports.plot_style import new_figure, plain_style, png
from trainer.config import TrainConfig
from trainer.data.load import load_data, read_data, with_bits
from trainer.model.network import build_network
from trainer.run.loop import Trainer
from trainer.run.setup import load_start_weights, make_card, pick_device, stage_spec

LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 100
"""Smallest number of steps; whole epochs are trained, so a large data set gives more."""
DIVERGED = 4.0
"""The test ends when the smoothed loss exceeds this multiple of its lowest value."""
HEADER = ("learning_rate", "loss")
SMOOTHING = 0.9
"""Weight of the previous value in the exponential moving average of the loss."""


@dataclass(frozen=True)
class RangeResult:
    """The result of a range test."""

    rates: list[float]
    losses: list[float]
    """Smoothed losses, one for each rate."""
    suggested: float
    """A tenth of the rate with the lowest smoothed loss: steps are large there, and far from diverging."""


class _DivergedError(Exception):
    """The loss has diverged, which ends the test."""


def find_rate(config: TrainConfig, out: Path, screen: Screen) -> RangeResult:
    """Train while the learning rate rises from LOWEST to HIGHEST; write a plot to `out` and a CSV next to it.

    Raises:
        LabError: any subclass.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out must end with .png, got {out}; a CSV is written next to it")
    require_file_name("--out", out)
    require_local("--out", out)
    figures = out.with_suffix(".csv")
    _require_own_figures(figures)
    device = pick_device(config.device)
    settings = config.resolved(device.type)[0]
    stage_spec(settings)  # its errors come before the work
    table = read_data(settings, screen)
    settings = with_bits(settings, table, screen)
    spec = stage_spec(settings)
    canvases = load_data(table, settings, spec, screen)
    torch.manual_seed(settings.seed)
    card = make_card(settings, canvases)
    network = build_network(card)
    load_start_weights(network.backbone, settings, screen)
    trainer = Trainer(settings, spec, canvases, network, device)
    epochs = math.ceil(STEPS / trainer.steps)
    total = epochs * trainer.steps
    trainer.rate_at_step = lambda step: LOWEST * (HIGHEST / LOWEST) ** (step / (total - 1))
    sweep = _Sweep(trainer)
    with screen.bar("range test", total) as bar:
        for number in range(1, epochs + 1):
            sweep.start = (number - 1) * trainer.steps
            bar.step(sweep.start)
            try:
                trainer.train_epoch(number, sweep.add)
            except _DivergedError:
                break
    if len(sweep.rates) < 2:
        raise DataError("the range test had fewer than two steps; give more images or a smaller --batch-size")
    lowest = int(np.argmin(sweep.losses))
    result = RangeResult(sweep.rates, sweep.losses, _rounded(sweep.rates[lowest] / 10))
    plot = _plot(result, f"{settings.architecture}, {settings.optimizer}, batch {settings.batch_size}")
    rows = zip(result.rates, result.losses, strict=True)
    with exclusive(out), file_set(out) as files:
        files.write(out, plot)
        files.write_text(figures, csv_text([HEADER, *rows]))
    return result


class _Sweep:
    """Computes the smoothed loss of each interval of steps from the running mean over an epoch.

    Attributes: rates and losses (lists of floats), one value for each interval; start (int), steps before this epoch.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.start = 0
        self._trainer = trainer
        self._images, self._sum, self._average, self._count = 0, 0.0, 0.0, 0

    def add(self, images: int, mean: float, speed: float) -> None:
        """Add an interval; an OnStep of the trainer. Raises _DivergedError."""
        if images <= self._images:
            self._images, self._sum = 0, 0.0
        loss = (mean * images - self._sum) / (images - self._images)
        step = self.start + (self._images + images) / 2 / self._trainer.settings.batch_size
        self._images, self._sum = images, mean * images
        if not math.isfinite(loss):
            raise _DivergedError
        self._count += 1
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        smoothed = self._average / (1 - SMOOTHING**self._count)
        self.rates.append(self._trainer.rate_at_step(int(step)))
        self.losses.append(smoothed)
        if smoothed > DIVERGED * min(self.losses):
            raise _DivergedError


def _require_own_figures(path: Path) -> None:
    """Raises ConfigError where the CSV to write exists and holds anything but the figures of a range test."""
    if path.is_file() and (rows := read_csv(path)) and tuple(rows[0]) != HEADER:
        raise ConfigError(f"{path} beside --out is not of a range test and would be overwritten; give another --out")


def _rounded(rate: float) -> float:
    """Round to one significant digit, as people write learning rates."""
    return float(f"{rate:.0e}")


def _plot(result: RangeResult, title: str) -> bytes:
    with plain_style():
        figure = new_figure(7, 4.2)
        axes = figure.add_subplot()
        axes.plot(result.rates, result.losses, color="black")
        axes.axvline(result.suggested, color="C1", linestyle="--", label=f"suggested: {result.suggested:g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed", title=title)
        low, high = min(result.losses), result.losses[0]
        axes.set_ylim(max(0.0, low - 0.1 * (high - low)), high + (high - low))
        axes.legend()
        axes.grid(alpha=0.3)
        return png(figure)
