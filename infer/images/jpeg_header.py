"""Parses a JPEG file's header to find out whether any decoder gives the pixels that lab's own decoder gives.

Markers are those of ITU-T T.81, annex B; Adobe's segment is that of Technical Note 5116.
"""

import re
from dataclasses import dataclass

from PIL import Image

from infer.images.picture_file import ORIENTATION

START, END = b"\xff\xd8", b"\xff\xd9"
FRAMES = (0xC0, 0xC1, 0xC2)
"""Start-of-frame markers of baseline, extended and progressive Huffman coding; others are lossless or rare."""
SCAN, APP1, ADOBE = 0xDA, 0xE1, 0xEE
TABLES = (0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))
"""Markers of Huffman and quantisation tables, restart intervals, comments and application segments."""
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""Any marker that ends a scan: within it, 0xff is followed by a stuffed zero or a restart marker."""


@dataclass(frozen=True)
class Frame:
    """Size in pixels of a plain JPEG: 8 bits, grey or YCbCr, upright, and not truncated."""

    width: int
    height: int


def plain_frame(content: bytes) -> Frame | None:
    """Return the frame of a plain JPEG file; None for any other file, and for damage that shows without decoding."""
    if not content.startswith(START):
        return None
    frame: Frame | None = None
    at, scans = len(START), 0
    while not scans or content[at : at + 2] != END:
        head = content[at : at + 4]
        if len(head) < 4 or head[0] != 0xFF:
            return None
        marker, size = head[1], int.from_bytes(head[2:], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        segment = content[at + 4 : at + 2 + size]
        at += 2 + size
        if marker in FRAMES and frame is None:
            frame = _frame(segment)
        elif marker == SCAN and frame and (end := AFTER_SCAN.search(content, at)):
            at, scans = end.start(), scans + 1
        elif marker not in TABLES or (marker == APP1 and _is_turned(segment)) or (marker == ADOBE and _is_rgb(segment)):
            return None
    return frame


def _frame(segment: bytes) -> Frame | None:
    """Parse a start-of-frame segment; None unless it has 8 bits and one or three components."""
    if len(segment) < 6 or segment[0] != 8 or segment[5] not in (1, 3) or segment[6::3] == b"RGB":
        return None
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    return Frame(width, height) if height and width else None


def _is_rgb(segment: bytes) -> bool:
    """Whether an Adobe segment may declare another colour space than YCbCr."""
    return segment.startswith(b"Adobe") and segment[11:12] != b"\x01"


def _is_turned(segment: bytes) -> bool:
    """Whether an EXIF or XMP segment may declare another orientation than upright."""
    if not segment.startswith(b"Exif"):
        return b"Orientation" in segment
    exif = Image.Exif()
    try:
        exif.load(segment)
        return bool(exif.get(ORIENTATION, 1) != 1)
    except Exception:  # noqa: BLE001  # Pillow raises almost anything on damaged tags: let it decide about the whole file
        return True
