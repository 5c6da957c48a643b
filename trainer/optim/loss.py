"""The loss: cross entropy with class weights, label smoothing and mixed labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.choices import ClassWeights

EFFECTIVE_BETA = 0.999
"""beta of the effective number of images, (1 - beta^n) / (1 - beta); 0.9 to 0.9999 in arxiv.org/abs/1901.05555."""


def class_weights(kind: ClassWeights, counts: Sequence[int]) -> Tensor | None:
    """Weights of the classes in the loss, float32 [K], from their numbers of training images; None for no weights.

    inverse: n / (K n_class), as scikit-learn's "balanced". share: 1 - n_class / n. effective: 1 / effective number,
    scaled to a sum of K. A class without images has weight 0 and does not count in K.
    """
    if kind == "none":
        return None
    all_counts = torch.tensor(counts, dtype=torch.float64)
    n = all_counts[all_counts > 0]
    if kind == "inverse":
        weights = n.sum() / (len(n) * n)
    elif kind == "share":
        weights = 1 - n / n.sum()
    else:
        rarity = (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**n)
        weights = rarity * len(n) / rarity.sum()
    return torch.zeros_like(all_counts).masked_scatter(all_counts > 0, weights).float()


@dataclass(frozen=True)
class Loss:
    """The weighted mean of the images' cross entropies.

    An image that is mixed with a partner has its own label with weight `share`, and the partner's with 1 - `share`.
    """

    weights: Tensor | None
    """float32 [K], on the device of the logits."""
    smoothing: float
    """Label smoothing: the share of the label that is spread over all classes."""

    def __call__(self, logits: Tensor, labels: Tensor, partners: Tensor | None, share: Tensor | None) -> Tensor:
        """Logits [n, K], labels and the partners' labels int64 [n], shares [n] -> the loss, []."""
        loss, weight = self._weighted(logits, labels)
        if self.weights is None and partners is None:
            return loss.sum() / len(loss)
        if partners is not None and share is not None:
            partner_loss, partner_weight = self._weighted(logits, partners)
            loss = share * loss + (1 - share) * partner_loss
            weight = share * weight + (1 - share) * partner_weight
        return loss.sum() / weight.sum()

    def _weighted(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss and the weight of each image, [n]."""
        losses = functional.cross_entropy(
            logits, labels, weight=self.weights, label_smoothing=self.smoothing, reduction="none"
        )
        return losses, torch.ones_like(losses) if self.weights is None else self.weights[labels]
