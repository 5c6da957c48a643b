"""Normalisation of pixels: by ImageNet's mean and standard deviation, the training images' own, whitening, or none.

The training images' statistics are exact: they are over every pixel of every evaluation window, in integer sums.
"""

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Pixels
from infer.images.preprocess import PixelSpec, centre_window
from infer.model.card import IMAGENET, Normalization
from trainer.augment.colour import LUMA
from trainer.choices import NormalizationKind

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

WEIGHTS = np.array(LUMA)
"""Weights of red, green and blue in a grey level: ITU-R BT.601."""
LEVEL = 1 / 255
"""Smallest standard deviation to divide by; what varies less, such as the colour of grey images, counts as constant."""
BLOCK = 1 << 15
"""Pixels per sum. Sums of products, at most 255 x 255 x BLOCK, stay below 2**53, so float64 is exact."""


def compute_normalization(
    kind: NormalizationKind, grayscale: bool, pixels_nhwc: Pixels, rows: Rows, spec: PixelSpec
) -> Normalization:
    """The normalisation that a network starts with.

    Args:
        kind: "imagenet"; "data", each channel to mean 0 and standard deviation 1 over all training pixels; "whiten",
            the channels decorrelated too (ZCA: Bell and Sejnowski, Vision Research 37, 1997; Kessy et al., American
            Statistician 72, 2018); "none", 0 to 1; "image", each image to mean 0 and standard deviation 1 per channel.
        grayscale: convert to luma, in all three channels; the statistics are those of the luma, and whitening only
            scales it.
        pixels_nhwc: uint8 canvases [n, canvas H, canvas W, 3], memory-mapped or not; read for "data" and "whiten" only.
        rows: int64 [m], the training images, at least one.
        spec: the PixelSpec of the canvases.
    """
    mean, matrix = np.zeros(3), np.eye(3)
    if kind == "imagenet":
        mean, matrix = np.array(IMAGENET.mean), np.array(IMAGENET.matrix)
        if grayscale:
            matrix = np.eye(3) / (WEIGHTS @ (1 / matrix.diagonal()))
    elif kind in ("data", "whiten"):
        mean, covariance = _moments(pixels_nhwc, rows, spec)
        variances = np.full(3, WEIGHTS @ covariance @ WEIGHTS) if grayscale else covariance.diagonal()
        matrix = np.diag(1 / np.sqrt(np.maximum(variances, LEVEL**2)))
        if kind == "whiten" and not grayscale:
            matrix = _whitening(covariance)
    if grayscale:
        matrix = matrix @ np.array([WEIGHTS, WEIGHTS, WEIGHTS])
    return Normalization.from_json({"mean": mean.tolist(), "matrix": matrix.tolist(), "per_image": kind == "image"})


def _whitening(covariance: Floats) -> Floats:
    """The symmetric inverse square root of a covariance [3, 3]."""
    variances, directions = np.linalg.eigh(covariance)
    scales = 1 / np.sqrt(np.maximum(variances, LEVEL**2))
    whitening: Floats = (directions * scales) @ directions.T
    return whitening


def _moments(pixels_nhwc: Pixels, rows: Rows, spec: PixelSpec) -> tuple[Floats, Floats]:
    """Mean [3] and covariance [3, 3] of all pixels of the rows' evaluation windows, at a scale of 0 to 1."""
    windows = centre_window(pixels_nhwc, spec)
    images_per_block = max(1, BLOCK // (spec.window[0] * spec.window[1]))
    sums = np.zeros((4, 4), dtype=np.int64)
    in_file_order = np.sort(rows)
    for start in range(0, len(rows), images_per_block):
        sums += _products(windows[in_file_order[start : start + images_per_block]].reshape(-1, 3))
    count = int(sums[3, 3])
    total = [int(value) for value in sums[3, :3]]
    mean = np.array([value / (255 * count) for value in total])
    # Python's integers: in float64, the difference of two numbers beyond 2**53 would lose its digits
    products = [[count * int(sums[i, j]) - total[i] * total[j] for j in range(3)] for i in range(3)]
    return mean, np.array([[value / (255 * count) ** 2 for value in row] for row in products])


def _products(pixels: Pixels) -> NDArray[np.int64]:
    """Sums of the products of (red, green, blue, 1) with itself, over pixels [n, 3]: [4, 4].

    The last row contains the sums of the channels and the number of pixels.
    """
    total = np.zeros((4, 4), dtype=np.int64)
    for start in range(0, len(pixels), BLOCK):
        block = pixels[start : start + BLOCK]
        columns = np.ones((4, len(block)))
        columns[:3] = block.T
        total += (columns @ columns.T).astype(np.int64)
    return total
