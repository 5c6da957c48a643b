"""The table of networks that lab trains. It does not import torch: the command line reads the names at start-up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.model.network import Backbone
    from trainer.model.resnet import ResNet


@dataclass(frozen=True)
class Architecture:
    """What lab needs to know of a network; everything else is in its class, a `Backbone`."""

    build: Callable[[int], "Backbone"]
    """Takes the number of classes, and returns a network with new weights."""
    compile_seconds: float
    """Duration of torch.compile on a GPU: a rough guess, not measured; bench/train.py --compile measures it."""


def _resnet(block: str, depths: tuple[int, int, int, int], classes: int, base_width: int = 64) -> "ResNet":
    from trainer.model import resnet  # here, since it imports torch

    return resnet.ResNet(getattr(resnet, block), depths, classes, base_width)


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(partial(_resnet, "BasicBlock", (2, 2, 2, 2)), compile_seconds=40),
    "resnet34": Architecture(partial(_resnet, "BasicBlock", (3, 4, 6, 3)), compile_seconds=60),
    "resnet50": Architecture(partial(_resnet, "Bottleneck", (3, 4, 6, 3)), compile_seconds=90),
    "resnet101": Architecture(partial(_resnet, "Bottleneck", (3, 4, 23, 3)), compile_seconds=150),
    "resnet152": Architecture(partial(_resnet, "Bottleneck", (3, 8, 36, 3)), compile_seconds=220),
}
"""By torchvision's names, under which it has ImageNet weights for --pretrained. Of a ResNet: the kind of block, and the
number of blocks in each of the four stages."""


def architecture_name(text: str) -> str:
    """The table's spelling of a name such as ResNet-50; the text itself where the table has no such name."""
    return next((name for name in ARCHITECTURES if _plain(name) == _plain(text)), text)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
