"""The image formats that lab reads: one table, from which listing, decoding and messages are made."""

import functools
from dataclasses import dataclass

from infer.core.text import joined


@dataclass(frozen=True)
class ImageFormat:
    """A kind of image file that Pillow can decode, or `infer.images.dicom`."""

    name: str
    """For people: `JPEG`."""
    pillow: str
    """Pillow's name for it, as in `PIL.Image.open(..., formats=...)`; "" for DICOM, which pydicom decodes."""
    suffixes: tuple[str, ...]
    """In lower case, with the dot."""
    signatures: tuple[bytes, ...]
    """With one of these its files begin; none where `mark` alone says it."""
    mark: tuple[int, bytes] = (0, b"")
    """A position and the bytes that its files have there, where the signature alone is shared with other formats."""
    library: str = ""
    """The library with which Pillow decodes it, by its name in `PIL.features`; "" where Pillow needs none."""


FORMATS: tuple[ImageFormat, ...] = (
    ImageFormat("JPEG", "JPEG", (".jpeg", ".jpe", ".jfif", ".jpg"), (b"\xff\xd8\xff",), library="libjpeg_turbo"),
    ImageFormat("PNG", "PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), library="zlib"),
    ImageFormat("BMP", "BMP", (".bmp",), (b"BM",), (6, bytes(4))),
    ImageFormat("TIFF", "TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), library="libtiff"),
    ImageFormat("WebP", "WEBP", (".webp",), (b"RIFF",), (8, b"WEBP"), "webp"),
    ImageFormat("GIF", "GIF", (".gif",), (b"GIF8",)),
    ImageFormat("DICOM", "", (".dcm", ".dicom"), (), (128, b"DICM")),
)
"""In the order in which a name without a suffix is tried. Any other format is refused, whatever Pillow could read."""


HEAD = 132
"""Bytes at the start of a file by which its format is known."""


@functools.cache
def suffixes() -> tuple[str, ...]:
    """All suffixes, in the order of the table. Cached: every name in a listing is compared with them."""
    return tuple(suffix for item in FORMATS for suffix in item.suffixes)


@functools.cache
def pillow_suffixes() -> tuple[str, ...]:
    """The suffixes of the formats that Pillow decodes."""
    return tuple(suffix for item in FORMATS if item.pillow for suffix in item.suffixes)


def format_of(head: bytes) -> ImageFormat | None:
    """The format of a file that begins with these HEAD bytes, or more; None where it is none of them."""
    for item in FORMATS:
        at, mark = item.mark
        if head.startswith(item.signatures or b"") and head[at : at + len(mark)] == mark:
            return item
    return None


def pillow_names() -> list[str]:
    """What to give to `PIL.Image.open` as `formats`."""
    return [item.pillow for item in FORMATS if item.pillow]


def format_names() -> str:
    """For messages: `JPEG, PNG, BMP, TIFF, WebP, GIF and DICOM`."""
    return joined([item.name for item in FORMATS], "and")
