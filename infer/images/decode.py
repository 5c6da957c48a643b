"""Decodes image files of all formats to upright 8-bit RGB."""

import contextlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator

import PIL
from PIL import Image

from infer.core.errors import ImageError, LabError
from infer.images.archive import File
from infer.images.colour import FULL_BITS, to_rgb
from infer.images.dicom import open_dicom, read_dicom
from infer.images.formats import pillow_suffixes
from infer.images.picture_file import open_picture, orientation, pixels_only, upright
from infer.images.pyramid import open_level
from infer.images.quiet_libtiff import silence_libtiff
from infer.images.window_option import FILE

MAX_PIXELS = 80_000_000
"""Larger images are refused as decompression bombs; a 24-bit image of this size takes 240 MB."""
MAX_ASPECT = 100
"""Longer to shorter side; beyond it, resizing by the shorter side would make a bomb of a small file."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom of the part of an image that is picture, in pixels."""
Needed = Callable[[tuple[int, int]], tuple[int, int]]
"""From the width and height of an image to those that it must still have at a reduced scale."""


# It prints an error that it raises as well, so that whoever sends images to a server would write to its standard error.
logging.getLogger(PIL.__name__).setLevel(logging.CRITICAL)
silence_libtiff()


@contextlib.contextmanager
def bombs_are_errors() -> Iterator[None]:
    """Turn Pillow's warning about huge images into an error, and drop those about values beside the pixels.

    Filters are the process's: enter before threads start.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=PIL.__name__)  # such as a damaged EXIF tag
        warnings.filterwarnings("ignore", module="pydicom")  # about values that stand beside the pixels
        yield


def size_problem(width: int, height: int) -> str | None:
    """Why an image of so many pixels is not decoded, or None."""
    if width * height > MAX_PIXELS:
        return f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} million"
    if max(width, height) > MAX_ASPECT * min(width, height):
        return f"{width} x {height} pixels, too thin for a picture"
    return None


def open_fitting(
    file: File | bytes, needed: Needed | None, opener: Callable[[File | bytes], Image.Image] = open_picture
) -> Image.Image:
    """Open an image file; a pyramidal TIFF whose first page is too large at a level that is not.

    Args:
        file: any, of any size.
        needed: as `open_level` takes it.
        opener: opens any other file.

    Raises:
        Exception: whatever `opener` raises.
    """
    try:
        image = opener(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        if level := open_level(file, _fits, needed):
            return level
        raise
    if not _fits(*image.size) and (level := open_level(file, _fits, needed)):
        image.close()
        return level
    return image


def _fits(width: int, height: int) -> bool:
    return size_problem(width, height) is None


def decode(
    file: File, bits: int = FULL_BITS, needed: Needed | None = None, dicom_window: str = FILE
) -> tuple[Image.Image, Box | None]:
    """An upright 8-bit RGB image; and, of a JPEG decoded at reduced scale, which part is picture. Raises ImageError.

    Args:
        file: a path, a member of an archive, or a remote file.
        bits: per channel, that files of more than 8 use.
        needed: where given, the scale is reduced as far as it leaves this size: a JPEG's, and that of a pyramidal TIFF
            whose first page is too large. Where the scale does not divide a side, the decoder's last column or row is
            picture only in part.
        dicom_window: as `parse_window` reads it.
    """
    path = str(file)
    try:
        named_otherwise = str(file).lower().endswith(pillow_suffixes())
        if not named_otherwise and (content := open_dicom(file)):  # its first 128 bytes may be another format's
            return read_dicom(content, path, dicom_window, size_problem), None
        return _decode_tolerant(file, bits, needed, dicom_window)
    except (LabError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(path, f"more than {MAX_PIXELS // 10**6} million pixels") from None
    except FileNotFoundError:
        raise ImageError(path, "no such file", transient=True) from None
    except Exception as error:  # Pillow's plugins raise almost anything on a damaged file; all of it means this
        system = isinstance(error, OSError) and error.errno is not None  # a failed read, not a damaged content
        raise ImageError(path, _reason(error, path), transient=system) from error


def _reason(error: Exception, path: str) -> str:
    """Describe why an image cannot be decoded, the same in every run: without its path and without addresses."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).partition("\n")[0].replace(f" {path!r}", "")
    return re.sub(r" ?<[^<>]* object at 0x[0-9a-fA-F]+>| at 0x[0-9a-fA-F]+", "", text) or type(error).__name__


def _decode_tolerant(file: File, bits: int, needed: Needed | None, dicom_window: str) -> tuple[Image.Image, Box | None]:
    """As `_decode_content`; where Pillow objects, DICOM is read, and a PNG without what stands beside its pixels."""
    try:
        return _decode_content(file, file, bits, needed)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError, ImageError):
        raise
    except Exception:
        if dicom := open_dicom(file):
            return read_dicom(dicom, str(file), dicom_window, size_problem), None
        with contextlib.suppress(Exception):  # the first error says more about the file
            if content := pixels_only(file):
                return _decode_content(content, file, bits, needed)
        raise


def _decode_content(
    content: File | bytes, file: File, bits: int, needed: Needed | None
) -> tuple[Image.Image, Box | None]:
    """Decode `content`, which is `file` or what it holds. Raises ImageError, or whatever Pillow raises."""
    with open_fitting(content, needed) as image:
        if problem := size_problem(*image.size):
            raise ImageError(str(file), problem)
        drafted = None
        least = needed(image.size) if needed else image.size
        if image.format == "JPEG" and least != image.size and orientation(image) == 1:
            drafted = image.draft(None, least)
        return upright(to_rgb(image, content, bits), orientation(image)), drafted[1] if drafted else None
