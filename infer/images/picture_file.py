"""Opens image files for decoding: whatever stands beside the pixels (text, profiles, EXIF) never costs the picture."""

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from infer.images.archive import File, read_content
from infer.images.formats import pillow_names

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
"""PNG chunks without which there are no pixels; one that is damaged makes the file unreadable."""
TRANSPARENCY = b"tRNS"
"""The only other chunk that changes the pixels that lab makes; one with a wrong checksum is ignored, as libpng does."""
EXIF = b"eXIf"
MAX_EXIF = 1 << 16
"""Bytes of EXIF that are kept; the orientation is in the first few hundred."""
ORIENTATION = 0x0112
"""The EXIF tag."""
UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the value of ORIENTATION."""


def open_picture(file: File | bytes) -> Image.Image:
    """Open an image file with Pillow; its pixels are not decoded yet. Raises whatever Pillow raises."""
    if isinstance(file, bytes):
        file_object: str | BinaryIO = io.BytesIO(file)
    else:
        file_object = file if isinstance(file, str) else file.open()
    return Image.open(file_object, formats=pillow_names())


def open_header(file: File | bytes) -> Image.Image:
    """As `open_picture`, also where what stands beside the pixels is damaged or large."""
    try:
        return open_picture(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise
    except Exception:
        if content := pixels_only(file):
            return open_picture(content)
        raise


def pixels_only(file: File | bytes) -> bytes | None:
    """A PNG file's bytes without the chunks that change no pixel; None where it is another kind of file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    content = file if isinstance(file, bytes) else read_content(file)
    if not content.startswith(PNG_SIGNATURE):
        return None
    return PNG_SIGNATURE + b"".join(_kept_chunks(content))


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none, or where EXIF is damaged."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001  # Pillow raises almost anything on damaged EXIF; viewers show the picture
        return 1
    return value if value in UPRIGHT else 1


def upright(image: Image.Image, value: int) -> Image.Image:
    """The picture as an orientation says that it is to be seen."""
    return image.transpose(UPRIGHT[value]) if value in UPRIGHT else image


def _kept_chunks(content: bytes) -> Iterator[bytes]:
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        chunk = content[at : at + 12 + size]
        if kind in CRITICAL or (_is_intact(chunk) and (kind == TRANSPARENCY or (kind == EXIF and size <= MAX_EXIF))):
            yield chunk
        if kind == b"IEND":
            return
        at += 12 + size


def _is_intact(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
