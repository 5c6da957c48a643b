"""The learning rate at every step of a stage."""

import math
from dataclasses import dataclass

from trainer.config import ResolvedConfig

ONE_CYCLE_RISE = 0.3
"""Share of the steps in which the rate of one-cycle rises. https://arxiv.org/abs/1708.07120, with torch's values."""
ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1e-4 / 25
"""Rates at which one-cycle starts and ends, as shares of the peak learning rate."""


def rate_factor(settings: ResolvedConfig, step: int, steps_per_epoch: int) -> float:
    """The factor of the peak learning rate in a step of a stage, counted from 0; in [0, 1].

    For `plateau` it is constant: its drops depend on the metric, see `Plateau`.
    """
    total = settings.epochs * steps_per_epoch
    if settings.schedule == "one-cycle":
        return _one_cycle(step / max(1, total - 1))
    rise = min(settings.warmup * steps_per_epoch, total / 2)
    if step < rise:
        return (step + 1) / (rise + 1)
    if settings.schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / (total - rise))
    if settings.schedule == "step":
        return settings.drop ** sum(step / total >= share for share in settings.milestones)
    return 1.0


def _one_cycle(share: float) -> float:
    """Rise along a cosine, then fall along another; `share` is the share of the steps that are finished."""
    if share < ONE_CYCLE_RISE:
        start, end, part = ONE_CYCLE_START, 1.0, share / ONE_CYCLE_RISE
    else:
        start, end, part = 1.0, ONE_CYCLE_END, (share - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


@dataclass
class Plateau:
    """The factor of the schedule `plateau`, which drops when the metric has not improved for some epochs."""

    factor: float = 1.0
    best: float = -math.inf
    waiting: int = 0
    """Epochs since the best metric, or since the last drop."""

    def update(self, metric: float, settings: ResolvedConfig) -> None:
        """Take the metric of a finished epoch into account."""
        if metric > self.best:
            self.best, self.waiting = metric, 0
            return
        self.waiting += 1
        if settings.schedule == "plateau" and self.waiting >= settings.plateau:
            self.factor, self.waiting = self.factor * settings.drop, 0
