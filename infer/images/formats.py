"""The image formats that lab reads: one table, from which listing, decoding and messages are made."""

import functools
from dataclasses import dataclass

from infer.core.text import joined


@dataclass(frozen=True)
class ImageFormat:
    """A kind of image file that Pillow can decode."""

    name: str
    """For people: `JPEG`."""
    pillow: str
    """Pillow's name for it, as in `PIL.Image.open(..., formats=...)`."""
    suffixes: tuple[str, ...]
    """In lower case, with the dot."""
    signatures: tuple[bytes, ...]
    """With one of these its files begin."""
    library: str = ""
    """The library with which Pillow decodes it, by its name in `PIL.features`; "" where Pillow needs none."""


FORMATS: tuple[ImageFormat, ...] = (
    ImageFormat("JPEG", "JPEG", (".jpeg", ".jpe", ".jfif", ".jpg"), (b"\xff\xd8\xff",), "libjpeg_turbo"),
    ImageFormat("PNG", "PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), "zlib"),
    ImageFormat("BMP", "BMP", (".bmp",), (b"BM",)),
    ImageFormat("TIFF", "TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*"), "libtiff"),
    ImageFormat("WebP", "WEBP", (".webp",), (b"RIFF",), "webp"),
    ImageFormat("GIF", "GIF", (".gif",), (b"GIF8",)),
)
"""In the order in which a name without a suffix is tried. Any other format is refused, whatever Pillow could read."""


@functools.cache
def suffixes() -> tuple[str, ...]:
    """All suffixes, in the order of the table. Cached: every name in a listing is compared with them."""
    return tuple(suffix for item in FORMATS for suffix in item.suffixes)


def pillow_names() -> list[str]:
    """What to give to `PIL.Image.open` as `formats`."""
    return [item.pillow for item in FORMATS]


def format_names() -> str:
    """For messages: `JPEG, PNG, BMP, TIFF, WebP and GIF`."""
    return joined([item.name for item in FORMATS], "and")
