"""From the pixels that Pillow decodes, in any mode, to 8-bit RGB."""

import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from infer.images.archive import File
from infer.images.pyramid import reopen

FULL_BITS = 16
"""The bits per channel that files of more than 8 bits are taken to use, unless a pixel spec says otherwise."""
BITS = (8, 10, 12, 14, FULL_BITS)
"""The bits per channel that cameras and scanners use."""
MIN_IS_WHITE, PHOTOMETRIC = 0, 262
"""A TIFF tag and its value for grey levels that count from white."""
COLOUR_MAP = 320
"""A TIFF tag: the red values of a palette, then the green, then the blue."""
LEVELS = {"L;2": 85, "L;4": 17}
"""How much apart the 8-bit levels are to which Pillow scales a PNG's grey levels of 2 and 4 bits."""
NATIVE = "L" if sys.byteorder == "little" else "B"
OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if NATIVE == "L" else "L"}
"""Pillow keeps the upper byte of 16-bit colour; read in the other byte order, the same data give the lower one."""

Samples = NDArray[np.uint16]


class UnknownRangeError(ValueError):
    """The values have no range that would say which of them is white."""


def to_rgb(image: Image.Image, file: File | bytes, bits: int = FULL_BITS) -> Image.Image:
    """Decode an open image to RGB: more than 8 bits are scaled to 8, transparency is put over black.

    Args:
        image: as `open_picture` or `open_level` gives it, with another frame or a reduced scale chosen, or not.
        file: from which it was opened.
        bits: of each channel that hold values in files of more than 8 bits; larger values become white.

    Raises:
        UnknownRangeError: 32-bit or signed values, or, with `bits`, colours that Pillow reduces to 8 bits for good.
        Exception: whatever Pillow raises for damaged pixels.
    """
    if is_deep(image) and image.mode.startswith("I"):
        return _deep_grey(image, bits)
    if is_deep(image) and bits != FULL_BITS:
        return _flattened(Image.fromarray(to_8_bits(read_samples(image, file), bits)))
    raw = _raw_mode(image)
    image.load()
    if image.mode in ("F", "I"):
        raise UnknownRangeError(f"32-bit or signed values (mode {image.mode}) have no known range; save 8 or 16 bits")
    return _flattened(_as_viewers_show(image, raw))


def is_deep(image: Image.Image) -> bool:
    """Whether an open image has more than 8 bits per channel; 32 do not count."""
    if image.mode.startswith("I"):
        return image.mode != "I" or image.format == "PNG"
    return image.format != "BMP" and ";16" in _raw_mode(image)  # a BMP's 16 bits are those of all channels together


def read_samples(image: Image.Image, file: File | bytes) -> Samples:
    """Decode an open image of more than 8 bits: uint16 [h, w], or [h, w, 3 or 4].

    Raises:
        UnknownRangeError: Pillow reduces its values to 8 bits in a way that cannot be undone.
    """
    if image.mode.startswith("I"):
        image.load()
        return np.asarray(image).astype(np.uint16)
    raw = _raw_mode(image)
    if raw == "LA;16B":  # four bytes a pixel: upper and lower of grey, upper and lower of alpha
        levels = np.asarray(_loaded_as("RGBA", image)).astype(np.uint16)
        grey, alpha = (levels[..., channel] << 8 | levels[..., channel + 1] for channel in (0, 2))
        return np.stack([grey, grey, grey, alpha], axis=-1)
    mode, _, order = raw.partition(";16")
    if mode not in ("RGB", "RGBA") or order not in OTHER_BYTE:
        raise UnknownRangeError(f"16-bit colour stored as {raw} can only be read as 16 bits; save it as grey or PNG")
    with reopen(image, file) as lower:
        low = np.asarray(_loaded_as(f"{mode};16{OTHER_BYTE[order]}", lower)).astype(np.uint16)
    image.load()
    return (np.asarray(image).astype(np.uint16) << 8 | low).astype(np.uint16)


def to_8_bits(samples: Samples, bits: int) -> NDArray[np.uint8]:
    """Scale values of 0 to 2^bits - 1 to 0 to 255, rounded; larger values become 255."""
    most = 2**bits - 1
    scaled = (np.minimum(samples, most).astype(np.int64) * 255 + most // 2) // most
    levels: NDArray[np.uint8] = scaled.astype(np.uint8)
    return levels


def bits_for(largest: int) -> int:
    """The smallest of BITS whose values reach `largest`."""
    return next((bits for bits in BITS if largest < 2**bits), FULL_BITS)


def _deep_grey(image: Image.Image, bits: int) -> Image.Image:
    samples = read_samples(image, b"")
    levels = to_8_bits(samples, bits)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == MIN_IS_WHITE:
        levels = 255 - levels
    if isinstance(transparent := image.info.get("transparency"), int):
        levels[samples == transparent] = 0
    return Image.fromarray(levels).convert("RGB")


def _as_viewers_show(image: Image.Image, raw: str) -> Image.Image:
    """The decoded image, where Pillow shows another than other viewers; `raw` is how it was unpacked."""
    if raw in LEVELS and isinstance(transparent := image.info.get("transparency"), int):
        image.info["transparency"] = transparent * LEVELS[raw]  # Pillow compares it with levels that it has scaled
    elif image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # wholly transparent: the fourth byte was never meant as alpha
    elif image.mode == "P" and (colours := getattr(image, "tag_v2", {}).get(COLOUR_MAP)) and max(colours) < 256:
        size = len(colours) // 3  # of 8 bits instead of TIFF's 16
        image.putpalette([colours[channel * size + index] for index in range(size) for channel in range(3)])
    return image


def _flattened(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # convert would copy it


def _raw_mode(image: Image.Image) -> str:
    """How Pillow unpacks the pixels of an image that is not decoded yet; "" where it does not say."""
    tile = image.tile[0] if isinstance(image, ImageFile.ImageFile) and image.tile else None
    arguments = tile.args if tile else None
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) else ""


def _loaded_as(raw: str, image: Image.Image) -> Image.Image:
    """The image decoded in another way than Pillow chose."""
    assert isinstance(image, ImageFile.ImageFile)
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
    ]
    image.load()
    return image
