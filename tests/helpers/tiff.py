"""Writes TIFF files of several pages, with sub-directories and tiles, which Pillow does not write."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Page:
    """One directory of a TIFF file, not compressed."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """RGB [h, w, 3]."""
    subfile: int = 0
    """NewSubfileType."""
    tile: int | None = None
    """Side of its tiles, a multiple of 16; None: one strip."""
    children: Sequence["Page"] = ()
    """Its sub-directories."""
    orientation: int = 1


def write_tiff(path: Path, pages: Sequence[Page]) -> str:
    """Write little-endian TIFF; returns the path."""
    content = bytearray(b"II*\0\0\0\0\0")
    link = 4  # where the offset of the next page goes
    for page in pages:
        offset, next_link = _add(content, page)
        struct.pack_into("<I", content, link, offset)
        link = next_link
    path.write_bytes(content)
    return str(path)


def _add(content: bytearray, page: Page) -> tuple[int, int]:
    """Append a page; returns the offset of its directory and that of its link to the next one."""
    children = [_add(content, child)[0] for child in page.children]
    height, width = page.pixels.shape[:2]
    deep = page.pixels.dtype == np.uint16
    side = page.tile
    blocks = [page.pixels] if side is None else _tiles(page.pixels, side)
    offsets = []
    for block in blocks:
        offsets.append(len(content))
        content += block.astype("<u2" if deep else "u1").tobytes()
    sizes = [block.nbytes for block in blocks]
    layout = (
        {273: offsets, 278: [height], 279: sizes}
        if side is None
        else {322: [side], 323: [side], 324: offsets, 325: sizes}
    )
    bits = [16 if deep else 8] * 3
    tags = {254: [page.subfile], 256: [width], 257: [height], 258: bits, 259: [1], 262: [2], 274: [page.orientation]}
    tags |= {277: [3], **layout, **({330: children} if children else {})}
    long_values = {}
    for tag, values in tags.items():
        if len(values) > 1:
            long_values[tag] = len(content)
            content += struct.pack(f"<{len(values)}I", *values)
    content += bytes(len(content) % 2)
    offset = len(content)
    content += struct.pack("<H", len(tags))
    for tag, values in sorted(tags.items()):
        content += struct.pack("<HHII", tag, 4, len(values), long_values.get(tag, values[0]))
    content += bytes(4)
    return offset, len(content) - 4


def _tiles(pixels: NDArray[np.uint8] | NDArray[np.uint16], side: int) -> list[NDArray[np.uint8] | NDArray[np.uint16]]:
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)))
    return [
        padded[top : top + side, left : left + side] for top in range(0, height, side) for left in range(0, width, side)
    ]
