"""The PixelSpec that training's settings ask for: the part of an image in the window, and the size of its canvas."""

import math
from collections.abc import Sequence
from typing import Protocol

from infer.core.errors import ConfigError
from infer.images.colour import FULL_BITS
from infer.images.enhance import ENHANCEMENTS, Enhancement
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger, Step
from trainer.augment.expressions import build, parse_calls

OPTION = "--enhance"
AUTO = "auto"
SPARE = 1.35
"""A canvas may grow to this multiple of the side it needs, so that its crop is a whole number of pixels."""


class ViewSettings(Protocol):
    """The settings that a PixelSpec depends on."""

    @property
    def image_size(self) -> int:
        """Side of the square window in pixels."""

    @property
    def fit(self) -> str:
        """`shorter`: resize that side to 8/7 of the window. `longer`: that side to the window, padded. `stretch`."""

    @property
    def crop(self) -> int | None:
        """Side, in pixels of the file's image, of a centre crop that becomes the window; instead of `fit`."""

    @property
    def bits(self) -> str:
        """Bits per channel of files of more than 8, or `auto`, which is all 16 until the images have been seen."""

    @property
    def dicom_window(self) -> str:
        """Window of DICOM files, as PixelSpec has it."""

    @property
    def enhance(self) -> tuple[str, ...]:
        """Texts for `parse_enhance`."""


def pixel_spec(settings: ViewSettings, reach: float) -> PixelSpec:
    """The PixelSpec of some settings.

    With a crop, the canvas is larger than the window where `reach` asks for it, at the same scale and with the same
    centre, so that the window shows what a crop of exactly that size, resized, would (to half a pixel of the source,
    where no whole number of the crop's parity fits).

    Args:
        settings: a ResolvedConfig, or an object with these six fields.
        reach: distance from the centre that training reads, in half sides of the window; at least 1. For rotation by
            an angle a up to 45 degrees it is cos a + sin a. Without a crop it is not used.

    Raises:
        ConfigError: `settings.enhance` cannot be parsed.
    """
    enhance, window = parse_enhance(settings.enhance), settings.image_size
    steps: tuple[Step, ...]
    if settings.crop is not None:
        side, cut = _canvas_sides(settings.crop, window, max(reach, 1.0))
        steps = (CenterCrop(cut, cut),) if cut == side else (CenterCrop(cut, cut), Resize(side, side))
    elif settings.fit == "shorter":
        default = PixelSpec.default(window)
        side, steps = default.canvas[0], default.steps
    else:
        side = window
        steps = (ResizeLonger(window),) if settings.fit == "longer" else (Resize(window, window),)
    reduced = settings.crop is None and not enhance
    return PixelSpec(
        steps=(*enhance, *steps),
        canvas=(side, side),
        window=(window, window),
        reduced_decode=reduced,
        bits=FULL_BITS if settings.bits == AUTO else int(settings.bits),
        dicom_window=settings.dicom_window,
    )


def parse_enhance(texts: Sequence[str]) -> tuple[Enhancement, ...]:
    """Parse texts such as "clahe(3, 9), unsharp(3, 1.5)" into steps, in order. Raises ConfigError."""
    calls = [call for text in texts for call in parse_calls(text, OPTION)]
    for call in calls:
        if call.probability is not None:
            raise ConfigError(f"{OPTION}: {call.name} applies to every image, in prediction too; leave @ out")
    return tuple(build(call, ENHANCEMENTS, OPTION) for call in calls)


def _canvas_sides(crop: int, window: int, reach: float) -> tuple[int, int]:
    """Side of the canvas, and side of the crop of the source that it shows, in pixels; their ratio is window to crop.

    The canvas has the window's parity and reaches far enough. The smallest side is preferred for which the source's
    side is a whole number of the crop's parity, so that both centres coincide; then one for which it is a whole
    number; then the one for which it is closest to a number of that parity.
    """
    needed = window * reach
    smallest = math.ceil(needed - 1e-6)  # rounding of cosine and sine may give slightly more than 1
    smallest += (smallest - window) % 2
    choices = []
    for side in range(smallest, max(smallest, math.floor(SPARE * needed)) + 1, 2):
        source = crop * side / window
        cut = crop + 2 * round((source - crop) / 2)
        exact = crop * side % window == 0
        if exact and int(source) != cut:
            cut, preference = int(source), (1, 0.0)
        else:
            preference = (0 if exact else 2, abs(source - cut))
        choices.append((preference, side, cut))
    _, side, cut = min(choices)
    return side, cut
