"""Between bench/consumers.py and a program that is not Python: images and probabilities as plain bytes.

    python consumer_bytes.py COMMAND... MODEL IMAGES.npy OUT.npy

The command is called with: model file, file of the images' bytes, file to write float32 probabilities to, the images'
type (uint8 or float32) and their shape. Its last line of output is passed on.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def main(*arguments: str) -> int:
    """Return the command's exit code."""
    *command, model, images, out = arguments
    data = np.load(images)
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "images", Path(folder) / "probabilities"
        source.write_bytes(data.tobytes())
        ran = subprocess.run([*command, model, source, result, str(data.dtype), *map(str, data.shape)])
        if result.exists():
            np.save(out, np.fromfile(result, np.float32).reshape(len(data), -1))
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
