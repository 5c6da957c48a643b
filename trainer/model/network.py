"""The network as it is trained, exported and run: pixels in, logits and probabilities out."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from infer.model.card import EPSILON, ModelCard, Normalization
from trainer.model.architectures import ARCHITECTURES


class Backbone(nn.Module):
    """Base class of the networks: normalised float images [n, 3, H, W] to logits [n, K].

    Tensors have the names that torchvision's network of the same name gives them, so that its weights load.
    """

    head_name: str
    """Name of the linear layer that gives the logits."""

    @property
    def head(self) -> nn.Linear:
        """The layer that gives the logits: new for other classes, and the only one that learns while others freeze."""
        head = self.get_submodule(self.head_name)
        assert isinstance(head, nn.Linear)
        return head


class PixelNet(nn.Module):
    """Normalisation, backbone and temperature in one module, so that the exported graph holds them too.

    uint8 RGB images [n, H, W, 3] (or float32 of the same range, 0 to 255) -> logits and probabilities, float32 [n, K].
    The backbone may be half precision: pixels are normalised in float32 before, logits are float32 after it.
    """

    mean: Tensor
    matrix: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, backbone: Backbone, normalization: Normalization, temperature: float = 1.0) -> None:
        super().__init__()
        # of any architecture, but named so in the tensors of every last.ckpt and exported file
        self.resnet = backbone
        matrix = torch.tensor(normalization.matrix, dtype=torch.float32)
        self.per_image = normalization.per_image
        self.per_channel = bool((matrix == torch.diag(matrix.diag())).all())
        # not persistent, since they come from the card
        self.register_buffer("mean", torch.tensor(normalization.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("scale", matrix.diag(), persistent=False)
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32), persistent=False)

    @property
    def backbone(self) -> Backbone:
        """The network between normalisation and softmax."""
        return self.resnet

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, enabled=False):  # which would compute the matrix product in bfloat16
            x = images.to(torch.float32) / 255 - self.mean
            x = x * self.scale if self.per_channel else x @ self.matrix.T
            x = x.permute(0, 3, 1, 2)
            x = _standardized(x) if self.per_image else x
        logits = self.resnet(x.to(self.resnet.head.weight.dtype)).to(torch.float32)
        return logits, torch.softmax(logits / self.temperature, dim=1)


def _standardized(x: Tensor) -> Tensor:
    """[n, 3, H, W] with mean 0 and standard deviation 1 in each channel of each image; a constant channel becomes 0."""
    centred = x - _mean(x)
    return centred / torch.sqrt(_mean(centred.square()) + EPSILON)


def _mean(x: Tensor) -> Tensor:
    """[n, 3, H, W] -> [n, 3, 1, 1]. Rows first: ONNX Runtime's float32 sum of 512 x 512 values has an error of 6e-4."""
    height, width = x.shape[2:]
    return functional.avg_pool2d(functional.avg_pool2d(x, (1, width)), (height, 1))


def build_network(card: ModelCard) -> PixelNet:
    """The network that a card describes, with new weights. Raises KeyError where lab has no such architecture."""
    backbone = ARCHITECTURES[card.architecture].build(len(card.classes))
    return PixelNet(backbone, card.normalization, card.temperature)
