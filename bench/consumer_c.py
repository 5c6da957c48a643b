"""Between bench/consumers.py and docs/examples/predict.c: images as PPM files, probabilities from its lines.

python consumer_c.py PROGRAM LIBRARY MODEL IMAGES.npy OUT.npy
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def main(program: str, library: str, model: str, images: str, out: str) -> dict[str, str]:
    """Answer for all images, one at a time."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number:05d}.ppm" for number in range(len(np.load(images)))]
        for path, pixels in zip(paths, np.load(images), strict=True):
            Image.fromarray(pixels).save(path)
        ran = subprocess.run([program, library, model, *paths], capture_output=True, text=True)
    if ran.returncode:
        return {"refused": ran.stderr.strip()}
    values = [[float(value) for value in line.split()[2:]] for line in ran.stdout.splitlines()]
    np.save(out, np.array(values, np.float32))
    return {"batch": "any"}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
