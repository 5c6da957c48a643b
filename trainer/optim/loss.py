"""The loss: cross entropy with class weights, label smoothing and mixed labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.config import ClassWeights

EFFECTIVE_BETA = 0.999
"""Of the effective number of images, (1 - beta^n) / (1 - beta): https://arxiv.org/abs/1901.05555, 0.9 to 0.9999."""


def class_weights(kind: ClassWeights, counts: Sequence[int]) -> Tensor | None:
    """The weight of each class in the loss, float32 [K], from its number of training images; None for no weights.

    inverse: n / (K n_class), as scikit-learn's "balanced". share: 1 - n_class / n. effective: 1 / effective number,
    scaled to a sum of K. A class without images has weight 0, and K is the number of the others.
    """
    if kind == "none":
        return None
    every = torch.tensor(counts, dtype=torch.float64)
    n = every[every > 0]
    if kind == "inverse":
        weights = n.sum() / (len(n) * n)
    elif kind == "share":
        weights = 1 - n / n.sum()
    else:
        rarity = (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**n)
        weights = rarity * len(n) / rarity.sum()
    return torch.zeros_like(every).masked_scatter(every > 0, weights).float()


@dataclass(frozen=True)
class Objective:
    """The weighted mean of the images' cross entropies.

    An image that is mixed with a partner counts as `share` of its own label and 1 - `share` of the partner's.
    """

    weights: Tensor | None
    """[K], on the logits' device."""
    smoothing: float

    def __call__(self, logits: Tensor, labels: Tensor, partners: Tensor | None, share: Tensor | None) -> Tensor:
        """Logits [n, K], labels and partners' labels int64 [n], share [n] -> the loss, []."""
        loss, weight = self._of(logits, labels)
        if partners is not None and share is not None:
            other, other_weight = self._of(logits, partners)
            loss, weight = share * loss + (1 - share) * other, share * weight + (1 - share) * other_weight
        return loss.sum() / weight.sum()

    def _of(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Each image's weighted loss and weight, [n]."""
        losses = functional.cross_entropy(
            logits, labels, weight=self.weights, label_smoothing=self.smoothing, reduction="none"
        )
        return losses, torch.ones_like(losses) if self.weights is None else self.weights[labels]
