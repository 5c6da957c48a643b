"""The network as it is trained, exported and run: pixels in, logits and probabilities out."""

import torch
from torch import Tensor, nn

from infer.card import ModelCard, Normalization
from trainer.resnet import ResNet, build_resnet


class PixelNet(nn.Module):
    """Normalisation, ResNet and temperature in one module, so that the exported graph holds them too.

    uint8 RGB images [n, H, W, 3] (or float32 of the same range, 0 to 255) -> logits and probabilities, float32 [n, K].
    The ResNet may be half precision: pixels are normalised in float32 before, logits are float32 after it.
    """

    mean: Tensor
    matrix: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, resnet: ResNet, normalization: Normalization, temperature: float = 1.0) -> None:
        super().__init__()
        self.resnet = resnet
        matrix = torch.tensor(normalization.matrix, dtype=torch.float32)
        self.per_channel = bool((matrix == torch.diag(matrix.diag())).all())
        # not persistent: they come from the card, which is written once
        self.register_buffer("mean", torch.tensor(normalization.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("scale", matrix.diag(), persistent=False)
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.to(torch.float32) / 255 - self.mean
        x = x * self.scale if self.per_channel else x @ self.matrix.T
        x = x.permute(0, 3, 1, 2).to(self.resnet.fc.weight.dtype)
        logits = self.resnet(x).to(torch.float32)
        return logits, torch.softmax(logits / self.temperature, dim=1)


def build_network(card: ModelCard) -> PixelNet:
    """The network that a card describes, with new weights."""
    resnet = build_resnet(card.architecture, len(card.classes))
    return PixelNet(resnet, card.normalization, card.temperature)
