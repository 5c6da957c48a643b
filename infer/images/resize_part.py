"""Resizes only the part of an image that is used, to the very pixels that resizing all of it would give.

Pillow's resampling makes each row and column of its result from positions in the source that it computes in floating
point. Where these numbers are exact, as where a side becomes 256 pixels, a part is resized alone; otherwise a whole
side is, and cut afterwards. Rows and columns are resized one after the other, so the two sides may differ in this.
"""

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

Span = tuple[float, float]
"""Start and end on one axis, in pixels."""
SMALLEST_STEP = Fraction(1, 1 << 20)
"""Multiples of it up to the largest side, and their halves, are exact in double precision."""


@dataclass(frozen=True)
class _Axis:
    """What to resize along one axis, and which part of the result to keep."""

    source: Span
    size: int
    """Pixels that the source becomes."""
    kept: tuple[int, int]
    """First and last + 1 of these pixels that are kept."""

    @property
    def is_cut(self) -> bool:
        """Whether more is resized than is kept."""
        return self.kept != (0, self.size)


def resize_part(
    image: Image.Image,
    size: tuple[int, int],
    part: tuple[int, int, int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """The same pixels as `image.resize(size, BILINEAR, box).crop(part)`.

    Args:
        image: upright RGB.
        size: width and height, in pixels, that the whole box would become.
        part: left, top, right and bottom within `size`.
        box: the part of the image that is picture; None: all of it.
    """
    start_x, start_y, end_x, end_y = box or (0, 0, *image.size)
    x = _axis((start_x, end_x), size[0], (part[0], part[2]))
    y = _axis((start_y, end_y), size[1], (part[1], part[3]))
    if _height_first(image.size, size) or _height_first(image.size, (x.size, y.size)):
        return image.resize(size, Image.Resampling.BILINEAR, box).crop(part)
    if x.is_cut:  # the columns that are not kept need not be resized in height
        image = _resized(image, x, _Axis((0, image.height), image.height, (0, image.height)))
        x = _Axis((0, image.width), image.width, (0, image.width))
    return _resized(image, x, y)


def _resized(image: Image.Image, x: _Axis, y: _Axis) -> Image.Image:
    box = (x.source[0], y.source[0], x.source[1], y.source[1])
    if (x.size, y.size) != image.size or box != (0, 0, *image.size):
        image = image.resize((x.size, y.size), Image.Resampling.BILINEAR, box)
    return image.crop((x.kept[0], y.kept[0], x.kept[1], y.kept[1])) if x.is_cut or y.is_cut else image


def _height_first(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether Pillow 13 resizes the height before the width (`ImagingResampleInner`); both orders round differently."""
    shorter_by = source[1] - target[1]
    return shorter_by > 0 and shorter_by > 2 * (source[0] - target[0])


@functools.lru_cache(maxsize=4096)
def _axis(source: Span, size: int, part: tuple[int, int]) -> _Axis:
    """Resize the part alone where Pillow's numbers for it are exact, else the whole side."""
    scale = (Fraction(source[1]) - Fraction(source[0])) / size  # as exact fractions
    ends = [Fraction(source[0]) + scale * position for position in part]
    box = (Fraction(source[0]), Fraction(source[1]), *ends, ends[1] - ends[0])
    if all(map(_is_exact, (scale, *box))):
        return _Axis((float(ends[0]), float(ends[1])), part[1] - part[0], (0, part[1] - part[0]))
    return _Axis(source, size, part)


def _is_exact(value: Fraction) -> bool:
    """Whether single precision, in which Pillow takes a box, holds the value, and sums of its multiples are exact."""
    return float(np.float32(float(value))) == value and (value / SMALLEST_STEP).denominator == 1
