"""Geometry of augmentation: every step is an affine map, and their product is one resampling, canvas to window."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from infer.images.preprocess import PixelSpec
from trainer.augment.steps import Affine, Crop, Geometry, HFlip, ResizedCrop, Rotation


def inverse_map(step: Geometry, draws: Tensor, spec: PixelSpec) -> Tensor:
    """The affine map from a step's output to its input, float32 [n, 3, 3] on column vectors (x, y, 1).

    Coordinates are pixels of the canvas relative to the centre of the evaluation window, y downwards. The random
    numbers are `draws`, float32 [n, step.columns] in [0, 1). The map of several steps is the product in their order.
    """
    if isinstance(step, Rotation):
        return _rotation(step, draws)
    if isinstance(step, Crop):
        return _crop(step, draws, spec)
    if isinstance(step, ResizedCrop):
        return _resized_crop(step, draws, spec)
    if isinstance(step, Affine):
        return _affine(step, draws, spec)
    one, zero = draws.new_ones(len(draws)), draws.new_zeros(len(draws))
    return (
        _map(-one, zero, zero, zero, one, zero) if isinstance(step, HFlip) else _map(one, zero, zero, zero, -one, zero)
    )


def window_grids(maps: Tensor, spec: PixelSpec) -> Tensor:
    """Where the pixels of a window lie in its canvas, by inverse maps [n, 3, 3], float32 [n, 3, 2].

    Row 0 is the step (x, y) to the next column, row 1 that to the next row, row 2 the window's centre, in the
    coordinates of grid_sample: from -1 to 1, edge to edge of the canvas.
    """
    (canvas_height, canvas_width), (height, width) = spec.canvas, spec.window
    top, left = _corner(spec)
    row_x = maps[:, 0] * (2 / canvas_width)
    row_y = maps[:, 1] * (2 / canvas_height)
    start_x = (2 * left + width) / canvas_width - 1
    start_y = (2 * top + height) / canvas_height - 1
    theta = torch.stack([row_x, row_y], dim=2)  # [n, 3, 2]
    start = torch.stack([row_x[:, 2] + start_x, row_y[:, 2] + start_y], dim=1)
    return torch.cat([theta[:, :2], start[:, None]], dim=1)


def window_positions(spec: PixelSpec, device: torch.device | None) -> tuple[Tensor, Tensor]:
    """Columns and rows of a window's pixels from its centre, float32 [W, 1] and [H, 1, 1], on the device."""
    height, width = spec.window
    x = torch.arange(width, device=device) + (0.5 - width / 2)
    y = torch.arange(height, device=device) + (0.5 - height / 2)
    return x[:, None], y[:, None, None]


def resample(canvases_nhwc: Tensor, grids: Tensor, positions: tuple[Tensor, Tensor]) -> Tensor:
    """Sample windows, float32 [n, 3, H, W], 0 to 255, from uint8 canvases [n, canvas H, canvas W, 3].

    Bilinear; black beyond the canvas. The identity gives the evaluation window, within rounding.

    Args:
        canvases_nhwc: on the device of the others.
        grids: of `window_grids`.
        positions: of `window_positions`.
    """
    # not affine_grid: it multiplies matrices, which is slow here on a CPU, and of low precision where a GPU may use
    # TF32 for products
    x, y = positions
    columns = grids[:, 0, None, :] * x + grids[:, 2, None, :]  # [n, W, 2]
    grid = columns[:, None] + grids[:, 1, None, None, :] * y  # [n, H, W, 2]
    planes = canvases_nhwc.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _rotation(step: Rotation, draws: Tensor) -> Tensor:
    angle = _symmetric(draws[:, 0], math.radians(step.degrees))
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    return _map(cosine, -sine, zero, sine, cosine, zero)


def _affine(step: Affine, draws: Tensor, spec: PixelSpec) -> Tensor:
    """The inverse of output = shift + zoom * rotate(shear(input))."""
    angle = _symmetric(draws[:, 0], math.radians(step.degrees))
    shift_x = _symmetric(draws[:, 1], step.translate * spec.window[1])
    shift_y = _symmetric(draws[:, 2], step.translate * spec.window[0])
    scale = torch.exp(_symmetric(draws[:, 3], -math.log1p(step.zoom)))  # 1 / zoom
    shear = torch.tan(_symmetric(draws[:, 4], math.radians(step.shear)))
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    xx, xy = cosine + shear * sine, shear * cosine - sine
    return _map(xx, xy, -xx * shift_x - xy * shift_y, sine, cosine, -sine * shift_x - cosine * shift_y)


def _crop(step: Crop, draws: Tensor, spec: PixelSpec) -> Tensor:
    top, left = _corner(spec)
    positions_y = spec.canvas[0] - spec.window[0] + 2 * step.padding + 1
    positions_x = spec.canvas[1] - spec.window[1] + 2 * step.padding + 1
    # even the largest float32 below 1, times a number of positions, is not rounded up to that number
    x = torch.floor(draws[:, 0] * positions_x) - (step.padding + left)
    y = torch.floor(draws[:, 1] * positions_y) - (step.padding + top)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _map(one, zero, x, zero, one, y)


def _resized_crop(step: ResizedCrop, draws: Tensor, spec: PixelSpec) -> Tensor:
    (canvas_height, canvas_width), (height, width) = spec.canvas, spec.window
    top, left = _corner(spec)
    area = (step.min_scale + draws[:, 0] * (step.max_scale - step.min_scale)) * (canvas_height * canvas_width)
    ratio = torch.exp(_symmetric(draws[:, 1], math.log(step.ratio)))
    part_width = torch.sqrt(area * ratio).clamp(max=canvas_width)
    part_height = torch.sqrt(area / ratio).clamp(max=canvas_height)
    x = draws[:, 2] * (canvas_width - part_width) + part_width / 2 - (left + width / 2)
    y = draws[:, 3] * (canvas_height - part_height) + part_height / 2 - (top + height / 2)
    zero = torch.zeros_like(x)
    return _map(part_width / width, zero, x, zero, part_height / height, y)


def _symmetric(draw: Tensor, limit: float) -> Tensor:
    """Uniform from -limit to limit."""
    return (draw * 2 - 1) * limit


def _corner(spec: PixelSpec) -> tuple[int, int]:
    """Top and left of the evaluation window in the canvas, as infer.images.preprocess.centre_window cuts it."""
    return (spec.canvas[0] - spec.window[0]) // 2, (spec.canvas[1] - spec.window[1]) // 2


def _map(xx: Tensor, xy: Tensor, x0: Tensor, yx: Tensor, yy: Tensor, y0: Tensor) -> Tensor:
    """The map x = xx * x' + xy * y' + x0, y = yx * x' + yy * y' + y0, as [n, 3, 3]."""
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    return torch.stack([xx, xy, x0, yx, yy, y0, zero, zero, one], dim=1).view(-1, 3, 3)
