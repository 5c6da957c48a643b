"""The size that the compressed picture in a DICOM file has by its own header, read before it is decoded."""

from typing import BinaryIO

ELEMENT = 12
"""Bytes of a data element's tag, type and length, before the fragments of compressed pixels (PS3.5, 7.1.2)."""
JPEG, JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
"""The first bytes of JPEG and JPEG-LS, and of a JPEG 2000 codestream, which may stand in a JP2 file."""
JPEG_END, PADDING = b"\xff\xd9", b"\0\xff"
"""The last marker of a JPEG, and the bytes that may follow it in a fragment."""
JPEG_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7)
"""Start-of-frame markers (ITU-T T.81, B.1.1.3) and that of JPEG-LS (T.87, C.1.1)."""
STANDALONE = (0x01, *range(0xD0, 0xD9))
"""JPEG markers without a length."""


def frame_size(content: BinaryIO, frames: int) -> tuple[int, int, int] | None:
    """Width, height and values per pixel of the first compressed picture; None where its format does not say.

    Args:
        content: a DICOM file at its pixel data, which are compressed.
        frames: how many it has.

    Raises:
        ValueError: a JPEG is cut off; its decoder would fill the rest up without a word.
        Exception: whatever pydicom raises where the fragments are damaged.
    """
    from pydicom.encaps import get_frame

    content.seek(ELEMENT, 1)
    frame = get_frame(content, 0, number_of_frames=frames)
    if frame.startswith(JPEG):
        if not frame.rstrip(PADDING).endswith(JPEG_END):
            raise ValueError("the JPEG inside is cut off")
        return _jpeg_size(frame)
    start = frame.find(JPEG_2000)
    return None if start < 0 else _jpeg_2000_size(frame[start + len(JPEG_2000) :])


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    at = len(JPEG)
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in JPEG_FRAMES:
            return _number(frame, at + 7, 2), _number(frame, at + 5, 2), frame[at + 9]
        if marker == 0xFF:  # a fill byte
            at += 1
        else:
            at += 2 + (0 if marker in STANDALONE else _number(frame, at + 2, 2))
    return None


def _jpeg_2000_size(segment: bytes) -> tuple[int, int, int] | None:
    """From what follows the marker SIZ (ITU-T T.800, A.5.1): the reference grid less its offset."""
    if len(segment) < 38:
        return None
    right, bottom, left, top = (_number(segment, at, 4) for at in (4, 8, 12, 16))
    return right - left, bottom - top, _number(segment, 36, 2)


def _number(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "big")
