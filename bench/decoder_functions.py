"""What bench/decoders.py runs in a library's own environment.

    python decoder_functions.py FUNCTION FOLDER COUNT SIZE

For each k below COUNT it reads k.jpg, or k.rgb with its width and height in k.json, and writes k.FUNCTION.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def opencv(path: Path) -> Any:
    """Decode with OpenCV."""
    return _cv2().cvtColor(_cv2().imread(str(path), _cv2().IMREAD_COLOR), _cv2().COLOR_BGR2RGB)


def simplejpeg(path: Path) -> Any:
    """Decode with simplejpeg."""
    return importlib.import_module("simplejpeg").decode_jpeg(path.read_bytes(), "RGB")


def imagecodecs(path: Path) -> Any:
    """Decode with imagecodecs' libjpeg-turbo."""
    return importlib.import_module("imagecodecs").jpeg8_decode(path.read_bytes())


def pyvips(path: Path) -> Any:
    """Decode with libvips."""
    return importlib.import_module("pyvips").Image.new_from_file(str(path)).numpy()


def kornia(path: Path) -> Any:
    """Decode with kornia-rs."""
    return importlib.import_module("kornia_rs").read_image_jpeg(str(path), "rgb")


def tensorflow(path: Path) -> Any:
    """Decode with TensorFlow as it comes."""
    return importlib.import_module("tensorflow").io.decode_jpeg(path.read_bytes(), channels=3).numpy()


def tensorflow_accurate(path: Path) -> Any:
    """Decode with TensorFlow, its transform set to the exact one."""
    decode = importlib.import_module("tensorflow").io.decode_jpeg
    return decode(path.read_bytes(), channels=3, dct_method="INTEGER_ACCURATE").numpy()


def opencv_linear(pixels: Any, size: int) -> Any:
    """Resize without antialiasing."""
    return _cv2().resize(pixels, (size, size), interpolation=_cv2().INTER_LINEAR)


def opencv_area(pixels: Any, size: int) -> Any:
    """Resize by the mean of the pixels covered."""
    return _cv2().resize(pixels, (size, size), interpolation=_cv2().INTER_AREA)


def tensorflow_resize(pixels: Any, size: int) -> Any:
    """Resize with the antialiased triangle filter, in floats."""
    resized = importlib.import_module("tensorflow").image.resize(pixels, (size, size), "bilinear", antialias=True)
    return np.rint(resized.numpy()).astype(np.uint8)


def _cv2() -> Any:
    return importlib.import_module("cv2")


RESIZES = {function.__name__: function for function in (opencv_linear, opencv_area, tensorflow_resize)}
DECODERS = {
    function.__name__: function
    for function in (opencv, simplejpeg, imagecodecs, pyvips, kornia, tensorflow, tensorflow_accurate)
}


def main(name: str, folder: Path, count: int, size: int) -> None:
    """Decode or resize all files."""
    for number in range(count):
        if name in DECODERS:
            pixels = DECODERS[name](folder / f"{number}.jpg")
        else:
            shape = json.loads((folder / f"{number}.json").read_text())
            source = np.fromfile(folder / f"{number}.rgb", np.uint8).reshape(shape["height"], shape["width"], 3)
            pixels = RESIZES[name](source, size)
        (folder / f"{number}.{name}").write_bytes(np.ascontiguousarray(pixels, np.uint8).tobytes())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
