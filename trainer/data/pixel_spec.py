"""From training's settings to a PixelSpec: how much of an image the network sees, and how large a canvas that needs."""

import math
from collections.abc import Sequence
from typing import Protocol

from infer.core.errors import ConfigError
from infer.images.enhance import ENHANCEMENTS, Enhancement
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger, Step
from trainer.augment.expressions import build, parse_calls

OPTION = "--enhance"
SPARE = 1.35
"""Up to this multiple of the side that it needs, a canvas may grow so that its crop is a whole number of pixels."""


class ViewSettings(Protocol):
    """The part of a training's settings that decides its view."""

    @property
    def image_size(self) -> int:
        """Side of the window in pixels."""

    @property
    def fit(self) -> str:
        """`shorter`: that side to 8/7 of the window. `longer`: that side to the window, black beside. `stretch`."""

    @property
    def crop(self) -> int | None:
        """Side in the source's pixels of a centre crop that becomes the window; instead of `fit`."""

    @property
    def enhance(self) -> tuple[str, ...]:
        """What `parse_enhance` reads."""


def pixel_spec(settings: ViewSettings, reach: float) -> PixelSpec:
    """How an image becomes a canvas and a window.

    With a crop, the canvas is larger than the window where `reach` asks for it, at the same scale and about the same
    centre, so that the window holds what a crop of exactly that size, resized, would (to half a pixel of the source,
    where no whole number of the crop's parity fits).

    Args:
        settings: a ResolvedConfig, or what has these four fields.
        reach: how far from the centre training looks, in half sides of the window; below 1 counts as 1. For rotation
            by an angle a up to 45 degrees it is cos a + sin a. Without a crop the canvas is all that there is.

    Raises:
        ConfigError: `settings.enhance` is not understood.
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
    return PixelSpec(steps=(*enhance, *steps), canvas=(side, side), window=(window, window), reduced_decode=reduced)


def parse_enhance(texts: Sequence[str]) -> tuple[Enhancement, ...]:
    """Steps from texts such as "clahe(3, 9), unsharp(3, 1.5)", in order. Raises ConfigError, naming --enhance."""
    calls = [call for text in texts for call in parse_calls(text, OPTION)]
    for call in calls:
        if call.probability is not None:
            raise ConfigError(f"{OPTION}: {call.name} is done to every image, in prediction too; leave @ out")
    return tuple(build(call, ENHANCEMENTS, OPTION) for call in calls)


def _canvas_sides(crop: int, window: int, reach: float) -> tuple[int, int]:
    """Side of the canvas, and of what it shows of the source, in pixels: their ratio is `window` to `crop`.

    Of the sides with the window's parity that reach far enough: the smallest for which the source's side is a whole
    number of the crop's parity, so that both centres coincide; else a whole number; else nearly one of that parity.
    """
    needed = window * reach
    least = math.ceil(needed - 1e-6)  # the cosine and sine of 0 may be a bit above 1
    least += (least - window) % 2
    choices = []
    for side in range(least, max(least, math.floor(SPARE * needed)) + 1, 2):
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
