"""Small networks with their cards, graphs and images."""

import functools
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import torch

from exporter.graph import at_precision, trace
from infer.images.preprocess import PixelSpec
from infer.model.card import ClassName, ModelCard, Normalization
from trainer.model import resnet
from trainer.model.architectures import ARCHITECTURES
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, ResNet

FULL_SIZE = dict(ARCHITECTURES)
"""The table as it is, without the small networks that conftest.py puts there."""
SCALE = Normalization.per_channel((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))


def make_card(**changes: object) -> ModelCard:
    base = ModelCard(
        architecture="resnet18",
        classes=(ClassName("a", "0"), ClassName("b", "1"), ClassName("c", "2")),
        pixels=PixelSpec.default(32),
        normalization=SCALE,
        ordered=False,
        temperature=1.5,
        opset=18,
    )
    return replace(base, **changes)


def tiny(block: type = BasicBlock, seed: int = 0, normalization: Normalization = SCALE) -> PixelNet:
    """A narrow ResNet whose batch-norm statistics and scales are not the trivial ones."""
    torch.manual_seed(seed)
    backbone = ResNet(block, (1, 1, 1, 1), classes=3, base_width=8)
    return PixelNet(with_statistics(backbone), normalization, temperature=1.5).eval()


def with_statistics(network: ResNet) -> ResNet:
    """Batch-norm statistics and scales that are not the trivial ones."""
    for name, values in network.named_buffers():
        if values.dtype == torch.float32:
            values.copy_(torch.rand_like(values) + (0.5 if name.endswith("var") else -0.5))
    for name, weight in network.named_parameters():
        if name.endswith(("bn1.weight", "bn2.weight", "bn3.weight")):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return network


def folded(
    block: type = BasicBlock, seed: int = 0, normalization: Normalization = SCALE, precision: str = "fp32"
) -> PixelNet:
    """`tiny` as `lab export` gives it to the torch exporter."""
    return at_precision(tiny(block, seed, normalization), precision)


def traced(normalization: Normalization) -> onnx.ModelProto:
    """The graph of `folded` as the torch exporter gives it, traced once."""
    return onnx.load_from_string(_traced(normalization))


def varied() -> PixelNet:
    """A network that answers every class now and then."""
    network = tiny()
    with torch.no_grad():
        network.resnet.fc.bias -= network(torch.from_numpy(images(40)))[0].mean(0)
    return network


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def run(model: onnx.ModelProto, batch: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities"], {"images": batch})


@functools.cache
def _traced(normalization: Normalization) -> bytes:
    return trace(folded(normalization=normalization), make_card()).SerializeToString()


def small_resnet(architecture: str, classes: int) -> ResNet:
    """A network of an architecture's kind of blocks, of a hundredth of its size; deeper ones have more blocks."""
    block, depths = FULL_SIZE[architecture].build.args
    return ResNet(
        getattr(resnet, block), (1, depths[1] // 4 or 1, min(depths[2] // 3, 3) or 1, 1), classes, base_width=8
    )
