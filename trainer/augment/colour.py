"""Colour of augmentation: every step is linear in a pixel and its window's mean, and their product is one matrix.

A step maps a row vector (x, m), a pixel's RGB and the mean RGB of its window, to another such vector: brightness scales
both, contrast pulls both towards the luma of m. So consecutive steps are a product of 6 x 6 matrices, whose left half
gives the new pixel. Values are clamped once, at the end; torchvision's ColorJitter clamps after every step, and rounds
uint8 input, so very bright and very dark pixels may differ from it.
"""

import math

import numpy as np
import torch
from torch import Tensor

from trainer.augment.steps import Brightness, Colour, Contrast, Hue, Saturation, Temperature

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""From RGB, as FCC NTSC defines it."""


def colour_basis(pairs: bool) -> Tensor:
    """The matrices that all steps are linear combinations of: float32 [6, 6, 6] on (x, m), or [6, 3, 3] on x alone.

    In order: identity; grey (luma in every channel); the colour without its grey; that, rotated by a quarter turn;
    warmth; grey of the window's mean. On x alone there is no contrast, since the mean is not known.
    """
    luma, identity = np.array(LUMA), np.eye(3)
    grey = np.outer(luma, np.ones(3))
    to_yiq = np.array(YIQ)
    quarter = np.linalg.inv(to_yiq) @ np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ to_yiq  # from red to green
    warmth = np.diag([1, (luma[2] - luma[0]) / luma[1], -1])
    of_mean = np.zeros((6, 6))
    of_mean[3:, :3] = of_mean[3:, 3:] = grey
    on_both = [np.kron(np.eye(2), part) for part in (identity, grey, identity - grey, quarter.T, warmth)]
    size = 6 if pairs else 3
    return torch.tensor(np.stack([*on_both, of_mean])[:, :size, :size], dtype=torch.float32)


def colour_matrix(step: Colour, draws: Tensor, basis: Tensor) -> Tensor:
    """A step's matrix for each sample, float32 [n, 6, 6] or [n, 3, 3], from draws [n, step.columns] in [0, 1).

    It multiplies row vectors from the right; the matrix of consecutive steps is the product in their order.
    """
    identity, grey, colour, quarter, warmth, grey_of_mean = torch.unbind(basis)
    if isinstance(step, Brightness):
        return _factor(step.amount, draws) * identity
    if isinstance(step, Contrast):
        factor = _factor(step.amount, draws)
        return factor * identity + (1 - factor) * grey_of_mean
    if isinstance(step, Saturation):
        return grey + _factor(step.amount, draws) * colour
    if isinstance(step, Hue):
        angle = (draws[:, :, None] * 2 - 1) * (2 * math.pi * step.amount)
        return grey + torch.cos(angle) * colour + torch.sin(angle) * quarter
    if isinstance(step, Temperature):
        return identity + (draws[:, :, None] * 2 - 1) * step.amount * warmth
    return grey.expand(len(draws), -1, -1)


def recolour(planes: Tensor, matrices: Tensor) -> Tensor:
    """Apply each sample's matrix to its window: float32 [n, 3, H, W] -> the same shape, clamped to 0 to 255."""
    # not a matrix product: where a GPU may use TF32 for it, the error is half a grey level
    parts = matrices[:, :3, :3, None, None]
    result = planes[:, 0:1] * parts[:, 0]
    if matrices.shape[1] == 6:
        mean = planes.mean(dim=(2, 3))
        of_mean = (mean[:, :, None] * matrices[:, 3:, :3]).sum(dim=1)
        result = result + of_mean[:, :, None, None]
    return torch.addcmul(torch.addcmul(result, planes[:, 1:2], parts[:, 1]), planes[:, 2:3], parts[:, 2]).clamp(0, 255)


def _factor(amount: float, draws: Tensor) -> Tensor:
    """[n, 1, 1], from 1 - amount, at least 0, to 1 + amount."""
    least = max(0.0, 1 - amount)
    return least + draws[:, :, None] * (1 + amount - least)
