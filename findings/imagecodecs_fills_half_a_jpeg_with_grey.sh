#!/usr/bin/env bash
# 2026-11-28. imagecodecs 2026.3.6 (libjpeg-turbo), pillow 13.0.0, numpy 2.4.6; Python 3.11.
#
# Expected: a decoder of JPEGs that is handed the first half of a file raises an error, or warns: a download that broke off is no
# picture. Pillow raises "image file is truncated".
# Seen: imagecodecs.jpeg8_decode returns a whole array without an error or a warning; its lower rows are one grey (128). A data
# loader built on it trains on grey halves.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q imagecodecs==2026.3.6 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io
import sys
import warnings

import imagecodecs
import numpy as np
from PIL import Image

warnings.simplefilter("error")
file = io.BytesIO()
noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
Image.fromarray(noise).save(file, "JPEG", quality=90)
half = file.getvalue()[: len(file.getvalue()) // 2]
try:
    Image.open(io.BytesIO(half)).load()
    pillow = ""
except OSError as error:
    pillow = str(error)
pixels = imagecodecs.jpeg8_decode(half)
grey = int((pixels.reshape(200, -1) == 128).all(axis=1).sum())
print(f"Pillow: {pillow or 'no error'}; imagecodecs: an array {pixels.shape}, {grey} of its 200 rows grey")
sys.exit(not (pillow and grey > 50))
PY
