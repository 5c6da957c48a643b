#!/usr/bin/env bash
# 2026-11-28. pillow 13.0.0, numpy 2.4.6; Python 3.11.
#
# Expected: the grey level that a PNG file declares transparent (tRNS) is transparent after convert("RGBA") at every bit depth.
# Seen: at 2 and 4 bits Pillow scales the pixels to 0..255 and leaves info["transparency"] at the file's own level (1 of 0..15
# rather than 17), so that no pixel, or a pixel of another level, becomes transparent. At 1 and 8 bits it is right. Pictures
# with a cut-out background keep it, in whatever grey lies below.
# Source: PNG, third edition, 11.3.1.1: tRNS holds a sample value in the image's own bit depth.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(bits: int, transparent: int) -> bytes:
    """A grey PNG file of one row that has every level once, one of them declared transparent."""
    levels = 2**bits
    row = np.packbits(np.unpackbits(np.arange(levels, dtype=np.uint8)[:, None], axis=1)[:, 8 - bits :]).tobytes()
    header = struct.pack(">IIBBBBB", levels, 1, bits, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", transparent))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


found = {}
for bits in (1, 2, 4, 8):
    picture = Image.open(io.BytesIO(png(bits, 1)))
    alpha = np.asarray(picture.convert("RGBA"))[0, :, 3]
    found[bits] = np.flatnonzero(alpha == 0).tolist()
    print(f"{bits} bits: level 1 is transparent in the file; after convert('RGBA') level {found[bits] or 'none'}")
sys.exit(not (found[1] == found[8] == [1] and found[2] != [1] and found[4] != [1]))
PY
