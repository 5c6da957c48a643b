"""Augmentation of finished windows: erased rectangles, and mixing of neighbours in the epoch's order."""

import math

import torch
from torch import Tensor

from trainer.augment.steps import Erasing, Mixing, Mixup


def erase(windows: Tensor, step: Erasing, draws: Tensor, mask: Tensor | None) -> Tensor:
    """Cover a rectangle of each window: float32 [n, 3, H, W] -> the same shape.

    Args:
        windows: values from 0 to 255.
        step: the distribution of the rectangles, and their grey level.
        draws: [n, 4] in [0, 1): area, ratio, left and top. All are whole pixels; a longer side is cut to the window.
        mask: bool [n], the samples to change; None: all.
    """
    height, width = windows.shape[2:]
    area = (step.min_area + draws[:, 0] * (step.max_area - step.min_area)) * (height * width)
    ratio = torch.exp((draws[:, 1] * 2 - 1) * math.log(step.ratio))
    box_width = torch.round(torch.sqrt(area * ratio)).clamp(max=width)
    box_height = torch.round(torch.sqrt(area / ratio)).clamp(max=height)
    left = torch.floor(draws[:, 2] * (width - box_width + 1))
    top = torch.floor(draws[:, 3] * (height - box_height + 1))
    covered = _inside(left, left + box_width, width)[:, None] & _inside(top, top + box_height, height)[:, :, None]
    if mask is not None:
        covered = covered & mask[:, None, None]
    return windows.masked_fill(covered[:, None], step.fill)


def own_weight(step: Mixing, draws: Tensor, window: tuple[int, int]) -> Tensor:
    """Weights of a sample's own pixels, 0 to 1; the next sample's have the rest: float32 [n, 1, 1] or [n, H, W].

    The first column of draws [n, step.columns] is Beta(alpha, alpha); the others, for cutmix, are uniform in [0, 1).
    """
    share = draws[:, 0]
    if isinstance(step, Mixup):
        return share[:, None, None]
    height, width = window
    half = torch.sqrt(1 - share) / 2
    columns = _around(torch.floor(draws[:, 1] * width), torch.floor(half * width), width)
    rows = _around(torch.floor(draws[:, 2] * height), torch.floor(half * height), height)
    return 1 - (columns[:, None] & rows[:, :, None]).float()


def _around(centre: Tensor, half: Tensor, size: int) -> Tensor:
    """The positions up to `half` from the centre, bool [n, size]; a rectangle ends at the window's edge."""
    return _inside(centre - half, centre + half, size)


def _inside(start: Tensor, end: Tensor, size: int) -> Tensor:
    """Mask of the positions from `start` up to but not including `end`, bool [n, size]."""
    positions = torch.arange(size, device=start.device)
    return (positions >= start[:, None]) & (positions < end[:, None])
