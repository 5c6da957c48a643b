"""torch's optimizers, with two parameter groups: with weight decay, and without."""

from collections.abc import Callable

from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from trainer.config import ResolvedConfig


def build_optimizer(settings: ResolvedConfig, network: nn.Module) -> Optimizer:
    """The optimizer of a stage. Weight decay applies to the weights of convolutions and head, or to all parameters."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    biases_and_scales = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": biases_and_scales, "weight_decay": settings.weight_decay if settings.decay_all else 0.0},
    ]
    rate, momentum = settings.peak_rate, settings.momentum
    fused = not settings.freeze  # fused SGD fails where a part of a group gets its first gradient later
    optimizers: dict[str, Callable[[], Optimizer]] = {
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
    return optimizers[settings.optimizer]()
