"""Test-time augmentation: several views of one image, whose probabilities are averaged."""

import numpy as np

from infer.config import Tta
from infer.core.arrays import Pixels
from infer.core.errors import ConfigError
from infer.images.archive import File
from infer.images.preprocess import PixelSpec, centre_window, read_canvas, read_window

COUNTS: dict[str, int] = {"none": 1, "flips": 4, "d4": 8, "five-crop": 5, "ten-crop": 10}
"""Number of views of each image."""
CROPS = ("five-crop", "ten-crop")
"""Kinds that take parts of the canvas outside its window."""


def read_views(file: File, spec: PixelSpec, tta: Tta = "none") -> Pixels:
    """Read a file and make its views, as `views_of` does. Raises ImageError where it cannot be read."""
    if tta in CROPS:
        return views_of(read_canvas(file, spec), spec, tta)
    return _symmetries(read_window(file, spec), tta)


def views_of(canvas: Pixels, spec: PixelSpec, tta: Tta = "none") -> Pixels:
    """The views of one canvas, uint8 RGB [views, window H, window W, 3]; the first is always the evaluation view.

    flips: as it is, left-right, up-down, both. d4: these four, and the four of the transposed image: all symmetries of
    a square. five-crop: the centre and the four corners of the canvas. ten-crop: these, and left-right of each.
    """
    if tta in CROPS:
        crops = np.stack([centre_window(canvas, spec), *_corners(canvas, spec)])
        return crops if tta == "five-crop" else np.concatenate([crops, crops[:, :, ::-1]])
    return _symmetries(centre_window(canvas, spec), tta)


def check_tta(tta: Tta, spec: PixelSpec) -> None:
    """Raise ConfigError where a model's pixel spec does not allow these views."""
    if tta == "d4" and spec.window[0] != spec.window[1]:
        raise ConfigError(f"--tta d4 turns images by 90 degrees, and this model sees {spec.window}; choose flips")
    if tta.endswith("crop") and spec.canvas == spec.window:
        raise ConfigError(f"--tta {tta} has no room: this model sees the whole canvas of {spec.canvas}; choose flips")


def averaging_text(models: int, tta: Tta) -> str:
    """Describe what is averaged: models, views, or both; "" where nothing is."""
    parts = [f"{models} models, of which this is the first"] if models > 1 else []
    return " and ".join([*parts, *([f"{COUNTS[tta]} views of each image ({tta})"] if COUNTS[tta] > 1 else [])])


def _symmetries(window: Pixels, tta: Tta) -> Pixels:
    """The window itself, or with its flips, or with these and those of the transposed window."""
    if tta == "none":
        return window[None]
    flips = _flips(window)
    return flips if tta == "flips" else np.concatenate([flips, _flips(window.transpose(1, 0, 2))])


def _flips(window: Pixels) -> Pixels:
    return np.stack([window, window[:, ::-1], window[::-1], window[::-1, ::-1]])


def _corners(canvas: Pixels, spec: PixelSpec) -> list[Pixels]:
    height, width = spec.window
    return [canvas[rows, columns] for rows in _ends(height) for columns in _ends(width)]


def _ends(length: int) -> tuple[slice, slice]:
    return slice(0, length), slice(-length, None)
