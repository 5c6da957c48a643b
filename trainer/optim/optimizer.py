"""torch's optimizers, over two groups of weights: those that decay and those that do not."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from trainer.config import ResolvedConfig


def build_optimizer(settings: ResolvedConfig, network: nn.Module) -> Optimizer:
    """The optimizer of a stage. Weight decay is on the weights of convolutions and head, or on all parameters."""
    decaying = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    other_decay = settings.weight_decay if settings.decay_all else 0.0
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": other_decay},
    ]
    rate, momentum = settings.peak_rate, settings.momentum
    fused = not settings.freeze  # fused SGD cannot take in a part of a group later
    kinds: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: SGD(
            groups, lr=rate, momentum=momentum, nesterov=settings.nesterov and momentum > 0, fused=fused
        ),
        "adamw": lambda: AdamW(groups, lr=rate, fused=True),
        "adam": lambda: Adam(groups, lr=rate, fused=True),
        "nadam": lambda: NAdam(groups, lr=rate, decoupled_weight_decay=True, foreach=True),
        "radam": lambda: RAdam(groups, lr=rate, decoupled_weight_decay=True, foreach=True),
        "rmsprop": lambda: RMSprop(groups, lr=rate, momentum=momentum, foreach=True),
        "adagrad": lambda: Adagrad(groups, lr=rate, foreach=True),
    }
    return kinds[settings.optimizer]()


class Average:
    """An exponential moving average of a network's weights and normalisation statistics.

    In the first steps the decay is (1 + step) / (10 + step), so that the average does not hang on the first weights;
    TensorFlow's ExponentialMovingAverage has the formula.

    Attributes: network (nn.Module), the average.
    """

    def __init__(self, network: nn.Module, average: nn.Module, decay: float) -> None:
        """`average` is a second network of the same shape; it takes the first one's weights."""
        self.network, self.steps, self._decay = average.requires_grad_(False), 0, decay
        average.load_state_dict(network.state_dict())
        own, of = average.state_dict(keep_vars=True), network.state_dict(keep_vars=True)
        names = [name for name in own if own[name].is_floating_point()]
        counters = [name for name in own if name not in names]
        # detached, they are the same memory, whatever the optimizer writes there
        self._averages, self._values = [own[n].detach() for n in names], [of[n].detach() for n in names]
        self._counters, self._counts = [own[n] for n in counters], [of[n] for n in counters]

    @torch.no_grad()
    def update(self) -> None:
        """After a step of the optimizer."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._averages, self._values, 1 - decay)
        if self._counters:
            torch._foreach_copy_(self._counters, self._counts)
