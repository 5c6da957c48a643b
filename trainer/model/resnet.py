"""ResNet-18, 34, 50, 101 and 152, from BasicBlock and Bottleneck.

He et al., Deep Residual Learning for Image Recognition (https://arxiv.org/abs/1512.03385), with the stride in the
Bottleneck's 3x3 convolution (ResNet v1.5). Parameter names and shapes are torchvision's, so that its weights load.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from trainer.model.network import Backbone


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: [n, C, H, W] -> [n, width, H / stride, W / stride]."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x = self.relu(x + shortcut)
        return x


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut: [n, C, H, W] -> [n, 4 width, H / stride, W / stride]."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x = self.relu(x + shortcut)
        return x


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(Backbone):
    """Normalised float images [n, 3, H, W] to logits [n, classes]."""

    head_name = "fc"

    def __init__(self, block: Block, depths: Sequence[int], classes: int, base_width: int = 64) -> None:
        """Initialise a network with new weights.

        Args:
            block: BasicBlock or Bottleneck.
            depths: number of blocks in each of the four stages.
            classes: number of outputs.
            base_width: the first stage's number of channels, 64 in every published network.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(3, base_width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        wide = block.expansion
        self.layer1 = _stage(block, base_width, base_width, depths[0], stride=1)
        self.layer2 = _stage(block, base_width * wide, base_width * 2, depths[1], stride=2)
        self.layer3 = _stage(block, base_width * 2 * wide, base_width * 4, depths[2], stride=2)
        self.layer4 = _stage(block, base_width * 4 * wide, base_width * 8, depths[3], stride=2)
        self.fc = nn.Linear(base_width * 8 * wide, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            # a new block starts as its shortcut alone (https://arxiv.org/abs/1706.02677, 5.1); otherwise the first
            # steps of a deep network diverge
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.fc(x.mean((2, 3)))  # exports as one node; AdaptiveAvgPool with a dynamic batch axis does not
        return x


def _stage(block: Block, channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    rest = [block(width * block.expansion, width, 1) for _ in range(depth - 1)]
    return nn.Sequential(block(channels, width, stride), *rest)


def _shortcut(channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
