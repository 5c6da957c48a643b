"""Pictures read without a change, as tests compare them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infer.images.preprocess import PixelSpec, read_canvas

Array = NDArray[np.uint8]


def as_is(height: int, width: int) -> PixelSpec:
    """A spec that changes nothing of an image of this size."""
    return PixelSpec(steps=(), canvas=(height, width), window=(height, width), reduced_decode=False)


def read_as_is(path: Path) -> Array:
    """The pixels of a file, uint8 RGB [H, W, 3]."""
    with Image.open(path) as image:
        width, height = image.size
    return read_canvas(str(path), as_is(height, width))
