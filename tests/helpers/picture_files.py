"""PNG and TIFF files as bytes, of kinds that Pillow reads and does not write."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: Sequence[bytes], width: int, depth: int, colour_type: int, before: bytes = b"") -> bytes:
    """A PNG file of packed rows; `before` are chunks that come before the pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return SIGNATURE + chunk(b"IHDR", header) + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def deep_png(samples: NDArray[np.uint16], before: bytes = b"") -> bytes:
    """A PNG file of 16-bit grey [h, w], grey and alpha [h, w, 2], RGB [h, w, 3] or RGBA [h, w, 4]."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2] if samples.ndim == 3 else 1]
    rows = [row.tobytes() for row in samples.astype(">u2")]
    return png(rows, samples.shape[1], 16, colour_type, before)


def packed(values: NDArray[np.uint8], bits: int) -> list[bytes]:
    """Rows of values of 1, 2 or 4 bits, several in a byte; the width must fill whole bytes."""
    planes = ((values[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
    return [np.packbits(row.ravel()).tobytes() for row in planes]


def tiff(
    data: bytes,
    width: int,
    height: int,
    bits: int,
    photometric: int,
    channels: int = 1,
    order: str = "<",
    tags: Mapping[int, Sequence[int]] = {},
) -> bytes:
    """An uncompressed TIFF file of one strip; further `tags` have 16-bit values."""
    entries: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * channels),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [0]),
        277: ("H", [channels]),
        278: ("I", [height]),
        279: ("I", [len(data)]),
        **{tag: ("H", values) for tag, values in tags.items()},
    }
    blobs = {tag: struct.pack(f"{order}{len(values)}{kind}", *values) for tag, (kind, values) in entries.items()}
    at = 8 + 2 + 12 * len(entries) + 4
    end = at + sum(len(blob) for blob in blobs.values() if len(blob) > 4)
    blobs[273] = struct.pack(f"{order}I", end)
    directory = outside = b""
    for tag, (kind, values) in sorted(entries.items()):
        blob = blobs[tag]
        directory += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[kind], len(values))
        directory += blob.ljust(4, b"\0") if len(blob) <= 4 else struct.pack(f"{order}I", at + len(outside))
        outside += blob if len(blob) > 4 else b""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}IH", 8, len(entries))
    return mark + start + directory + bytes(4) + outside + data


def bmp(data: bytes, width: int, height: int, bits: int, masks: Sequence[int] = (), compression: int = 0) -> bytes:
    """A BMP file of rows from the bottom; four `masks`, of red, green, blue and alpha, make its header version 4."""
    size = 108 if len(masks) == 4 else 40
    header = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(data), 2835, 2835, 0, 0)
    header += b"".join(struct.pack("<I", mask) for mask in masks)
    header = header.ljust(size, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(data), 0, 0, 14 + len(header)) + header + data
