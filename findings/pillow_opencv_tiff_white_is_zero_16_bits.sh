#!/usr/bin/env bash
# 2026-11-28. pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6; Python 3.11.
#
# Expected: a grey TIFF file whose PhotometricInterpretation is 0 (WhiteIsZero: 0 is white, TIFF 6.0 page 37) shows the same picture
# at 8 and at 16 bits per sample.
# Seen: both libraries turn the values round at 8 bits (0 becomes 255) and hand them out as stored at 16 bits (0 stays 0), without
# a warning and, with Pillow, without the tag's meaning in the mode (L and I;16). A scanner's or camera's 16-bit file is a negative.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io
import struct
import sys

import cv2
import numpy as np
from PIL import Image

LONG, SHORT = 4, 3


def tiff(values: np.ndarray, photometric: int) -> bytes:
    """An uncompressed grey TIFF file of one strip, of uint8 or uint16 values [H, W]."""
    height, width = values.shape
    bits = values.dtype.itemsize * 8
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags = [
        (256, LONG, width), (257, LONG, height), (258, SHORT, bits), (259, SHORT, 1), (262, SHORT, photometric),
        (273, LONG, 0), (277, SHORT, 1), (278, LONG, height), (279, LONG, len(data)),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    tags = [(tag, kind, start if tag == 273 else value) for tag, kind, value in tags]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


seen = {}
for dtype in (np.uint8, np.uint16):
    ramp = np.linspace(0, np.iinfo(dtype).max, 16).round().astype(dtype).reshape(4, 4)
    for photometric, name in ((1, "BlackIsZero"), (0, "WhiteIsZero")):
        content = tiff(ramp, photometric)
        opened = Image.open(io.BytesIO(content))
        read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        first = int(np.asarray(opened).flat[0]), int(read.flat[0])
        seen[dtype.__name__, name] = first
        print(f"{dtype.__name__} {name}: stored 0 is read as {first[0]} by Pillow ({opened.mode}), {first[1]} by OpenCV")
right = seen["uint8", "WhiteIsZero"] == (255, 255) and seen["uint8", "BlackIsZero"] == (0, 0)
sys.exit(not (right and seen["uint16", "WhiteIsZero"] == (0, 0)))
PY
