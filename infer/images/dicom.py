"""Reads the first frame of DICOM files as 8-bit RGB, with the window that a pixel spec names.

Section numbers are those of DICOM PS3.3.
"""

import io
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infer.core.errors import ImageError, MissingExtraError
from infer.images.archive import File
from infer.images.colour import to_8_bits
from infer.images.dicom_frame import frame_size
from infer.images.dicom_window import Floats, Levels, to_levels
from infer.version import installed_version

PREAMBLE, MARK = 128, b"DICM"
"""Bytes before MARK, which says that a file is DICOM (PS3.10, 7.1)."""
PACKAGES = ("pydicom", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle")
"""The packages of the extra `dicom`."""
DEFLATED = "1.2.840.10008.1.2.1.99"
"""The transfer syntax of files that are compressed as a whole (PS3.5, A.5)."""
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420")
MAX_BITS = 32
"""Bits of a value; the formats have no more, but for floating-point numbers."""

Pixels = NDArray[Any]


def open_dicom(file: File | bytes) -> BinaryIO | None:
    """Open a file at its start if it is DICOM by its first bytes; None where it is not. Raises OSError, ValueError."""
    if isinstance(file, bytes):
        content: BinaryIO = io.BytesIO(file)
    else:
        content = open(file, "rb") if isinstance(file, str) else file.open()  # noqa: SIM115  # the caller closes it
    if content.read(PREAMBLE + len(MARK))[PREAMBLE:] == MARK:
        content.seek(0)
        return content
    content.close()
    return None


def read_dicom(content: BinaryIO, path: str, window: str, problem: Callable[[int, int], str | None]) -> Image.Image:
    """Decode the first frame of an open DICOM file, and close it.

    Args:
        content: at its start.
        path: for messages.
        window: as `infer.images.dicom_window.parse_window` reads it.
        problem: why an image of this width and height is not decoded, or None.

    Raises:
        MissingExtraError: pydicom is not installed.
        ImageError: it is too large, or of a kind that is not decoded.
        Exception: whatever pydicom raises for damaged files.
    """
    with content:
        header = read_header(content, path)
        size = int(header.get("Columns") or 0), int(header.get("Rows") or 0)
        if not all(size):
            raise ImageError(path, "DICOM without a picture (no rows or columns)")
        if reason := problem(*size) or _value_problem(header) or _frame_problem(content, header, size):
            raise ImageError(path, reason)
        pixels = _first_frame(content, path)
    kind = header.PhotometricInterpretation
    if kind in GREY:
        grey = _grey_levels(pixels, header, window)
        return Image.fromarray(255 - grey if kind == "MONOCHROME1" else grey).convert("RGB")
    if kind == "PALETTE COLOR":
        return _from_palette(pixels, header)
    if kind in COLOURS and pixels.ndim == 3:
        return Image.fromarray(_scaled(pixels, int(header.BitsStored)))
    raise ImageError(path, f"DICOM pixels of the kind {kind} are not read; save the picture as PNG")


def read_header(content: BinaryIO, path: str) -> Any:
    """All that stands before the pixels of an open DICOM file: a pydicom Dataset; `content` is then at the pixels.

    Raises:
        MissingExtraError: pydicom is not installed.
        ImageError: the file is compressed as a whole.
        Exception: whatever pydicom raises for damaged files.
    """
    try:
        from pydicom.filereader import dcmread, read_dataset, read_preamble
    except ImportError as error:
        raise MissingExtraError(
            f"{path} is DICOM, which needs pydicom; install it with pip install '.[dicom]' in lab's folder"
        ) from error
    read_preamble(content, False)
    meta = read_dataset(content, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if meta.get("TransferSyntaxUID") == DEFLATED:  # pydicom would unpack a bomb of any size
        raise ImageError(path, "deflated DICOM is not read; save it with another transfer syntax")
    content.seek(0)
    return dcmread(content, stop_before_pixels=True)


def frames(header: Any) -> int:
    """The number of frames of a DICOM file."""
    return int(header.get("NumberOfFrames") or 1)


def decoder_versions() -> str:
    """The versions of the packages that decode DICOM files; it changes where their pixels may."""
    return " ".join(f"{name} {installed_version(name) or '-'}" for name in PACKAGES)


def _value_problem(header: Any) -> str | None:
    samples, bits = int(header.get("SamplesPerPixel") or 1), int(header.get("BitsAllocated") or 0)
    is_float = "BitsStored" not in header
    if samples not in (1, 3) or bits > MAX_BITS * (1 + is_float):
        return f"DICOM with {samples} values of {bits} bits per pixel is not read; save the picture as PNG"
    return None


def _frame_problem(content: BinaryIO, header: Any, size: tuple[int, int]) -> str | None:
    """Why the compressed picture in a file is not decoded: its own size is what a decoder takes memory for."""
    if not header.file_meta.TransferSyntaxUID.is_encapsulated:
        return None
    found = frame_size(content, frames(header))
    samples = int(header.get("SamplesPerPixel") or 1)
    if found is None or found == (*size, samples):
        return None
    return "the DICOM header gives {} x {} pixels of {} values, its picture {} x {} of {}".format(
        *size, samples, *found
    )


def _first_frame(content: BinaryIO, path: str) -> Pixels:
    """The first frame, its colours as RGB: [h, w], or [h, w, 3]."""
    from pydicom.pixels.utils import pixel_array

    try:
        pixels: Pixels = pixel_array(content, index=0)
        return pixels
    except RuntimeError as error:
        first, *reasons = str(error).splitlines()
        if reasons and "exceptions were raised" in first:  # then one reason per decoder that was tried
            raise ValueError(reasons[0].strip()) from error
        if "missing dependencies" in str(error):
            raise MissingExtraError(
                f"{path} is compressed DICOM, whose decoders are missing; install them with pip install '.[dicom]' in "
                "lab's folder"
            ) from error
        raise


def _grey_levels(pixels: Pixels, header: Any, window: str) -> Levels:
    def convert(values: Floats) -> Levels:
        return to_levels(values, header, window)

    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2:  # each value once, instead of each pixel
        unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
        values = np.arange(2 ** (8 * unsigned.itemsize), dtype=unsigned).view(pixels.dtype.newbyteorder("="))
        table = convert(values.astype(np.float64))
        levels: Levels = table[pixels.astype(values.dtype, copy=False).view(unsigned)]
        return levels
    return np.stack([convert(row.astype(np.float64)) for row in pixels])


def _from_palette(pixels: Pixels, header: Any) -> Image.Image:
    from pydicom.pixels.processing import apply_color_lut

    count, _, bits = (int(value) for value in header.RedPaletteColorLookupTableDescriptor)
    if bits == 8 and not 0 < count <= 256:  # pydicom looks up the lower 8 bits alone
        raise ValueError("a palette of more than 256 colours of 8 bits is not read")
    return Image.fromarray(_scaled(apply_color_lut(pixels, header)[..., :3], bits))


def _scaled(pixels: Pixels, bits: int) -> Levels:
    """Values of 0 to 2^bits - 1 as 8-bit levels."""
    return pixels.astype(np.uint8) if bits == 8 else to_8_bits(pixels, bits)
