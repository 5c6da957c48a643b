"""The learning rate at every step of a stage."""

import math
from dataclasses import dataclass

from trainer.config import ResolvedConfig

ONE_CYCLE_RISE = 0.3
"""Share of the steps in which one-cycle rises, and ...
"""
ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1e-4 / 25
"""... the shares of the highest rate where it starts and ends: https://arxiv.org/abs/1708.07120, as torch has them."""


def rate_factor(settings: ResolvedConfig, step: int, steps_per_epoch: int) -> float:
    """What the highest learning rate is multiplied by in step `step`, from 0, of a stage; in [0, 1].

    `plateau` is constant here; what happened so far decides on its drops.
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
    """`share` of the steps are done: up along a cosine, then down along another."""
    if share < ONE_CYCLE_RISE:
        start, end, part = ONE_CYCLE_START, 1.0, share / ONE_CYCLE_RISE
    else:
        start, end, part = 1.0, ONE_CYCLE_END, (share - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


@dataclass
class Plateau:
    """What `plateau` multiplies the rate by: less, whenever the metric has not been better for a while."""

    factor: float = 1.0
    best: float = -math.inf
    waiting: int = 0
    """Epochs since the best, or since the last drop."""

    def see(self, metric: float, settings: ResolvedConfig) -> None:
        """After an epoch."""
        if metric > self.best:
            self.best, self.waiting = metric, 0
            return
        self.waiting += 1
        if settings.schedule == "plateau" and self.waiting >= settings.plateau:
            self.factor, self.waiting = self.factor * settings.drop, 0
