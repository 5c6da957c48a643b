"""The host half of preprocessing, and the only one: an image file becomes a uint8 canvas, and the canvas a window.

Training caches the canvas and draws its windows from it; evaluation, the parity gate and prediction take the centre
window. All of them call the functions of this module, so that no two can differ.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from infer.core.arrays import Pixels
from infer.core.parse import is_whole
from infer.images.archive import File
from infer.images.colour import BITS, FULL_BITS
from infer.images.decode import Box, decode
from infer.images.enhance import ENHANCEMENTS, Enhancement
from infer.images.resize_part import resize_part
from infer.images.window_option import FILE, parse_window


@dataclass(frozen=True)
class ResizeShorter:
    """Resize, antialiased (bilinear), so that the shorter side is `size` pixels and the aspect ratio stays."""

    size: int

    def target(self, width: float, height: float) -> tuple[int, int]:
        return _scaled(width, height, self.size / min(width, height))

    def __call__(self, image: Image.Image, box: Box | None = None) -> Image.Image:
        return _resized(image, box, self.target)


@dataclass(frozen=True)
class ResizeLonger:
    """Resize, antialiased (bilinear), so that the longer side is `size` pixels and the aspect ratio stays."""

    size: int

    def target(self, width: float, height: float) -> tuple[int, int]:
        return _scaled(width, height, self.size / max(width, height))

    def __call__(self, image: Image.Image, box: Box | None = None) -> Image.Image:
        return _resized(image, box, self.target)


@dataclass(frozen=True)
class Resize:
    """Resize, antialiased (bilinear), to exactly `height` x `width` pixels."""

    height: int
    width: int

    def target(self, width: float, height: float) -> tuple[int, int]:
        return self.width, self.height

    def __call__(self, image: Image.Image, box: Box | None = None) -> Image.Image:
        return _resized(image, box, self.target)


@dataclass(frozen=True)
class CenterCrop:
    """Cut `height` x `width` pixels from the centre; where the image is smaller the rest is black."""

    height: int
    width: int

    def __call__(self, image: Image.Image) -> Image.Image:
        left, top = (image.width - self.width) // 2, (image.height - self.height) // 2
        return image.crop((left, top, left + self.width, top + self.height))


AnyResize = ResizeShorter | ResizeLonger | Resize
Step = AnyResize | CenterCrop | Enhancement
STEPS: dict[str, type[Step]] = {
    "resize_shorter": ResizeShorter,
    "resize_longer": ResizeLonger,
    "resize": Resize,
    "center_crop": CenterCrop,
    **ENHANCEMENTS,
}


LARGEST_SIDE = 8_192
"""Pixels of a side that a step, the canvas or the window may have; networks take 32 to 2,048."""
LATER: dict[str, Any] = {"bits": FULL_BITS, "dicom_window": FILE}
"""Fields of a PixelSpec that older labs did not write, and the defaults that mean what these labs did."""


@dataclass(frozen=True, kw_only=True)
class PixelSpec:
    """How a file becomes a uint8 RGB canvas and then a window; part of every model's card."""

    steps: tuple[Step, ...]
    """Applied in order to the decoded image; then a centre crop makes the canvas."""
    canvas: tuple[int, int]
    """[H, W] of what is cached for training."""
    window: tuple[int, int]
    """[H, W] of the centre window that the network sees in evaluation."""
    reduced_decode: bool
    """Decode a large JPEG at 1/2, 1/4 or 1/8 scale where at least twice the first resize's target remains, and a
    pyramidal TIFF of more than MAX_PIXELS at the smallest level of which as much remains."""
    bits: int = FULL_BITS
    """Bits per channel that hold values in files of more than 8; 12 for 12-bit pictures in 16-bit files."""

    dicom_window: str = FILE
    """Window of DICOM files: `file`, `full`, or `CENTRE/WIDTH` for all of them."""

    def __post_init__(self) -> None:
        sized = [step for step in self.steps if isinstance(step, AnyResize | CenterCrop)]  # the others check themselves
        sizes = [value for step in sized for value in asdict(step).values()]
        sides = (*sizes, *self.canvas, *self.window)
        if not all(is_whole(side) and 0 < side <= LARGEST_SIDE for side in sides):
            raise ValueError(f"sizes must be whole numbers above 0 and up to {LARGEST_SIDE}, got {self}")
        if self.window[0] > self.canvas[0] or self.window[1] > self.canvas[1]:
            raise ValueError(f"the window {self.window} is larger than the canvas {self.canvas}")
        if self.reduced_decode and not isinstance(self.steps[0] if self.steps else None, AnyResize):
            raise ValueError("reduced_decode needs a resize as the first step: other steps work on source pixels")
        if not isinstance(self.reduced_decode, bool):
            raise ValueError(f"reduced_decode must be true or false, got {self.reduced_decode}")
        if not is_whole(self.bits) or self.bits not in BITS:
            raise ValueError(f"bits must be one of {', '.join(map(str, BITS))}, got {self.bits}")
        parse_window(self.dicom_window)

    @classmethod
    def default(cls, size: int) -> "PixelSpec":
        """Shorter side to 8/7 of `size`, centre square, window of `size`: ImageNet's 256 and 224 at any size."""
        margin = math.ceil(size * 8 / 7)
        square = (margin, margin)
        return cls(steps=(ResizeShorter(margin),), canvas=square, window=(size, size), reduced_decode=True)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` reads them. Without the fields of LATER that have their defaults."""
        names = {kind: name for name, kind in STEPS.items()}
        steps = [{"kind": names[type(step)], **asdict(step)} for step in self.steps]
        values = {**asdict(self), "steps": steps}
        return {name: value for name, value in values.items() if name not in LATER or value != LATER[name]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PixelSpec":
        """Raises KeyError, TypeError or ValueError for what `to_json` would not have written."""
        steps = tuple(STEPS[step["kind"]](**{k: v for k, v in step.items() if k != "kind"}) for step in data["steps"])
        (canvas_height, canvas_width), (height, width) = data["canvas"], data["window"]
        return cls(
            steps=steps,
            canvas=(canvas_height, canvas_width),
            window=(height, width),
            reduced_decode=data["reduced_decode"],
            **{name: data.get(name, default) for name, default in LATER.items()},
        )


def _scaled(width: float, height: float, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(image: Image.Image, box: Box | None, target: Callable[[float, float], tuple[int, int]]) -> Image.Image:
    return image.resize(target(*_box_size(image, box)), Image.Resampling.BILINEAR, box)


def read_canvas(file: File, spec: PixelSpec) -> Pixels:
    """Decode one file and apply the spec's steps: uint8 RGB [canvas H, canvas W, 3].

    Raises:
        ImageError: the file is missing, undecodable, or larger than MAX_PIXELS.
    """
    return _read(file, spec, [spec.canvas])


def read_rgb(file: File, bits: int = FULL_BITS) -> Image.Image:
    """Decode one file as it is: an upright 8-bit RGB image, at the largest scale that is decoded.

    Raises:
        ImageError: as `read_canvas`.
    """
    return decode(file, bits)[0]


def centre_window(canvas_nhwc: Pixels, spec: PixelSpec) -> Pixels:
    """The evaluation view of one canvas or a batch: [..., canvas H, canvas W, 3] -> [..., window H, window W, 3]."""
    top, left = (spec.canvas[0] - spec.window[0]) // 2, (spec.canvas[1] - spec.window[1]) // 2
    return canvas_nhwc[..., top : top + spec.window[0], left : left + spec.window[1], :]


def read_window(file: File, spec: PixelSpec) -> Pixels:
    """The evaluation view of one file: uint8 RGB [window H, window W, 3]. Raises ImageError."""
    return _read(file, spec, [spec.canvas, spec.window])


def _read(file: File, spec: PixelSpec, cuts: Sequence[tuple[int, int]]) -> Pixels:
    """Decode one file, apply the spec's steps, then cut the centre to each of these [H, W], one out of the other."""
    needed = partial(_draft_size, spec.steps[0]) if spec.reduced_decode else _whole
    image, box = decode(file, spec.bits, needed, spec.dicom_window)
    return _cut(image, box, spec, cuts)


def image_window(image: Image.Image, spec: PixelSpec) -> Pixels:
    """The evaluation view of an upright RGB image, decoded at full scale: uint8 [window H, window W, 3]."""
    return _cut(image, None, spec, [spec.canvas, spec.window])


def _cut(image: Image.Image, box: Box | None, spec: PixelSpec, cuts: Sequence[tuple[int, int]]) -> Pixels:
    """Apply the spec's steps to an image of which `box` is picture (None: all), then the centre cuts."""
    last = len(spec.steps) - 1
    for number, step in enumerate(spec.steps):
        if not isinstance(step, AnyResize):
            image = step(image)
        elif number == last and (part := _centre_part(size := step.target(*_box_size(image, box)), cuts)):
            return np.asarray(resize_part(image, size, part, box), dtype=np.uint8)
        else:
            image = step(image, box)
        box = None  # it was the decoder's, for the first step
    for height, width in cuts:
        image = CenterCrop(height, width)(image)
    return np.asarray(image, dtype=np.uint8)


def _centre_part(size: tuple[int, int], cuts: Sequence[tuple[int, int]]) -> tuple[int, int, int, int] | None:
    """What the cuts leave of a picture of this width and height; None where one is larger, and is to be filled."""
    left, top, (width, height) = 0, 0, size
    for cut_height, cut_width in cuts:
        if cut_height > height or cut_width > width:
            return None
        left, top = left + (width - cut_width) // 2, top + (height - cut_height) // 2
        width, height = cut_width, cut_height
    return left, top, left + width, top + height


def _box_size(image: Image.Image, box: Box | None) -> tuple[float, float]:
    left, top, right, bottom = box or (0, 0, *image.size)
    return right - left, bottom - top


def _whole(size: tuple[int, int]) -> tuple[int, int]:
    """The size that an image must still have where its steps work on the file's own pixels: all of it."""
    return size


def _draft_size(resize: Step, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels that an image of this size must still have at a reduced scale."""
    if isinstance(resize, ResizeLonger):
        width, height = (max(1, 2 * resize.size * side // max(size)) for side in size)
        return width, height
    side = 2 * max(asdict(resize).values())
    return side, side
