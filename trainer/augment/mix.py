"""What augmentation does to finished windows: rectangles are erased, and neighbours in the epoch's order are mixed."""

import math

import torch
from torch import Tensor

from trainer.augment.steps import Erasing, Mixing, Mixup


def erased(windows: Tensor, step: Erasing, draws: Tensor, taken: Tensor | None) -> Tensor:
    """Cover each sample's rectangle: float32 [n, 3, H, W] -> the same, where `taken`, bool [n], or everywhere if None.

    Sizes and places are whole pixels from draws [n, 4] in [0, 1); a side longer than the window is cut to it.
    """
    height, width = windows.shape[2:]
    area = (step.min_area + draws[:, 0] * (step.max_area - step.min_area)) * (height * width)
    ratio = torch.exp((draws[:, 1] * 2 - 1) * math.log(step.ratio))
    box_width = torch.round(torch.sqrt(area * ratio)).clamp(max=width)
    box_height = torch.round(torch.sqrt(area / ratio)).clamp(max=height)
    left = torch.floor(draws[:, 2] * (width - box_width + 1))
    top = torch.floor(draws[:, 3] * (height - box_height + 1))
    covered = _inside(left, left + box_width, width)[:, None] & _inside(top, top + box_height, height)[:, :, None]
    if taken is not None:
        covered = covered & taken[:, None, None]
    return windows.masked_fill(covered[:, None], step.fill)


def own_weight(step: Mixing, draws: Tensor, window: tuple[int, int]) -> Tensor:
    """The weight of a sample's own pixels, 0 to 1, the next sample having the rest: float32 [n, 1, 1] or [n, H, W].

    The first of draws [n, step.columns] is Beta(alpha, alpha); a cutmix's others are uniform in [0, 1).
    """
    share = draws[:, 0]
    if isinstance(step, Mixup):
        return share[:, None, None]
    height, width = window
    half = torch.sqrt(1 - share) / 2
    across = _around(torch.floor(draws[:, 1] * width), torch.floor(half * width), width)
    down = _around(torch.floor(draws[:, 2] * height), torch.floor(half * height), height)
    return 1 - (across[:, None] & down[:, :, None]).float()


def _around(centre: Tensor, half: Tensor, size: int) -> Tensor:
    """Cut at the edges, since no place is outside."""
    return _inside(centre - half, centre + half, size)


def _inside(start: Tensor, end: Tensor, size: int) -> Tensor:
    """Which of `size` places are from start up to, not including, end: bool [n, size]."""
    places = torch.arange(size, device=start.device)
    return (places >= start[:, None]) & (places < end[:, None])
