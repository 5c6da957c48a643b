"""The head of a JPEG file, read without decoding: whether a plain decoder sees in it what the pixel contract sees.

Markers as ITU-T T.81, annex B, numbers them; of Adobe's segment as Technical Note 5116 tells.
"""

from dataclasses import dataclass

from PIL import Image

from infer.pixels import ORIENTATION

START, END = b"\xff\xd8", b"\xff\xd9"
FRAMES = (0xC0, 0xC1, 0xC2)
"""Of a baseline, an extended and a progressive image, all coded by Huffman."""
OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
"""Lossless, hierarchical and arithmetically coded ones."""
SCAN, APP1, ADOBE = 0xDA, 0xE1, 0xEE
ALONE = (0x01, *range(0xD0, 0xD8))
"""Markers without a segment."""


@dataclass(frozen=True)
class Frame:
    """The size of a plain JPEG: 8 bits, gray or YCbCr, upright, and not cut off."""

    width: int
    height: int


def plain_frame(content: bytes) -> Frame | None:
    """The frame of a plain JPEG file, or None where it is another, or no JPEG at all."""
    if not content.startswith(START) or not content.rstrip(b"\0").endswith(END):
        return None
    frame: Frame | None = None
    at = len(START)
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        segment = content[at + 4 : at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")]
        if marker == SCAN:
            return frame
        if marker in FRAMES:
            frame = _frame(segment)
        if (
            marker in OTHER_FRAMES
            or (marker in FRAMES and frame is None)
            or (marker == APP1 and _is_turned(segment))
            or (marker == ADOBE and segment.startswith(b"Adobe") and segment[11:12] != b"\x01")
        ):
            return None
        at += 4 + len(segment)
    return None


def _frame(segment: bytes) -> Frame | None:
    """Of a frame's segment with 8 bits and one or three components."""
    if len(segment) < 6 or segment[0] != 8 or segment[5] not in (1, 3) or segment[6::3] == b"RGB":
        return None
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    return Frame(width, height) if height and width else None


def _is_turned(segment: bytes) -> bool:
    """Whether EXIF's or XMP's segment may tell of a picture that is not upright."""
    if not segment.startswith(b"Exif"):
        return b"Orientation" in segment
    exif = Image.Exif()
    try:
        exif.load(segment)
        return bool(exif.get(ORIENTATION, 1) != 1)
    except Exception:  # noqa: BLE001  # Pillow raises almost anything on damaged tags: let it decide about the whole file
        return True
