"""Augmentation of finished windows: erased rectangles, and mixing of neighbours in the epoch's order."""

import math

import torch
from torch import Tensor

from trainer.augment.steps import Erasing, Mixing, Mixup


def covered_area(step: Erasing, draws: Tensor, mask: Tensor | None, window: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The columns, bool [n, W], and rows, bool [n, H], of a rectangle in each window.

    Args:
        step: the distribution of the rectangles.
        draws: [n, 4] in [0, 1): area, ratio, left and top. All are whole pixels; a longer side is cut to the window.
        mask: bool [n], the samples to change; None: all.
        window: H and W.
    """
    height, width = window
    area = (step.min_area + draws[:, 0] * (step.max_area - step.min_area)) * (height * width)
    ratio = torch.exp((draws[:, 1] * 2 - 1) * math.log(step.ratio))
    box_width = torch.round(torch.sqrt(area * ratio)).clamp(max=width)
    box_height = torch.round(torch.sqrt(area / ratio)).clamp(max=height)
    left = torch.floor(draws[:, 2] * (width - box_width + 1))
    top = torch.floor(draws[:, 3] * (height - box_height + 1))
    columns, rows = _inside(left, left + box_width, width), _inside(top, top + box_height, height)
    return (columns if mask is None else columns & mask[:, None]), rows


def erase(windows: Tensor, columns: Tensor, rows: Tensor, fill: float) -> Tensor:
    """Cover a rectangle of each window, float32 [n, 3, H, W] of 0 to 255, with a grey level -> the same shape.

    Columns, bool [n, W], and rows, bool [n, H], are those of `covered_area`.
    """
    covered = columns[:, None] & rows[:, :, None]
    return windows.masked_fill(covered[:, None], fill)


def mixed_share(
    step: Mixing, draws: Tensor, mask: Tensor | None, window: tuple[int, int]
) -> tuple[Tensor] | tuple[Tensor, Tensor]:
    """How much of a sample is its own: its share, float32 [n], or a rectangle that the next sample fills.

    Args:
        step: mixup, or cutmix, whose rectangle is given by columns, bool [n, W], and rows, bool [n, H].
        draws: [n, step.columns]; the first is Beta(alpha, alpha), the others, for cutmix, are uniform in [0, 1).
        mask: bool [n], the samples to mix; None: all.
        window: H and W.
    """
    share = draws[:, 0]
    if isinstance(step, Mixup):
        return (share if mask is None else torch.where(mask, share, torch.ones_like(share)),)
    height, width = window
    half = torch.sqrt(1 - share) / 2
    columns = _around(torch.floor(draws[:, 1] * width), torch.floor(half * width), width)
    rows = _around(torch.floor(draws[:, 2] * height), torch.floor(half * height), height)
    return (columns if mask is None else columns & mask[:, None]), rows


def own_weight(parts: tuple[Tensor, ...]) -> Tensor:
    """Weights of a sample's own pixels, 0 to 1, from `mixed_share`: float32 [n, 1, 1] or [n, H, W].

    The next sample's pixels have the rest.
    """
    if len(parts) == 1:
        return parts[0][:, None, None]
    columns, rows = parts
    return 1 - (columns[:, None] & rows[:, :, None]).float()


def _around(centre: Tensor, half: Tensor, size: int) -> Tensor:
    """The positions up to `half` from the centre, bool [n, size]; a rectangle ends at the window's edge."""
    return _inside(centre - half, centre + half, size)


def _inside(start: Tensor, end: Tensor, size: int) -> Tensor:
    """Mask of the positions from `start` up to but not including `end`, bool [n, size]."""
    positions = torch.arange(size, device=start.device)
    return (positions >= start[:, None]) & (positions < end[:, None])
