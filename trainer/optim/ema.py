"""Exponential moving average of a network's weights."""

import torch
from torch import nn


class Ema:
    """Exponential moving average (EMA) of a network's weights and normalisation statistics.

    In the first steps the decay is (1 + step) / (10 + step), so that the random initial weights lose their influence
    soon; the formula is that of TensorFlow's ExponentialMovingAverage.

    Attributes: network (nn.Module), which holds the averaged weights; steps (int), the number of updates.
    """

    def __init__(self, network: nn.Module, averaged: nn.Module, decay: float) -> None:
        """`averaged` is a second network of the same architecture; it starts with the first one's weights."""
        self.network, self.steps, self._decay = averaged.requires_grad_(False), 0, decay
        averaged.load_state_dict(network.state_dict())
        averages, values = averaged.state_dict(keep_vars=True), network.state_dict(keep_vars=True)
        names = [name for name in averages if averages[name].is_floating_point()]
        counters = [name for name in averages if name not in names]
        # detached tensors share the parameters' memory, so they always hold what the optimizer wrote last
        self._averages, self._values = [averages[n].detach() for n in names], [values[n].detach() for n in names]
        self._counters, self._counts = [averages[n] for n in counters], [values[n] for n in counters]

    @torch.no_grad()
    def update(self) -> None:
        """Average in the network's weights; call it after every step of the optimizer."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._averages, self._values, 1 - decay)
        if self._counters:
            torch._foreach_copy_(self._counters, self._counts)
