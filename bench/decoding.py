"""Where the time of decoding goes, and what other JPEG libraries would save: milliseconds of processor time per image.

    python bench/decoding.py DIR [--images 60] [--rounds 8]

All in one thread and in turns, image by image, medians. `lab` is the whole way from a file to its window. Each library
that is installed (opencv-python-headless, simplejpeg, imagecodecs, torchvision) first has to give Pillow's very pixels;
`window` adds what lab does with them: an image of Pillow's, and the same resizing.
"""

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from machine import installed, machine
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.images.listing import list_images  # noqa: E402
from infer.images.preprocess import PixelSpec, _centre_part, read_window  # noqa: E402
from infer.images.resize_part import resize_part  # noqa: E402

Decode = Callable[[bytes], np.ndarray]
SPEC = PixelSpec.default(224)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of JPEGs")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    files = [str(args.folder / name) for name in list_images(args.folder)[: args.images]]
    print(f"{machine()}, pillow {installed('pillow')}, {len(files)} images, {args.rounds} rounds")
    rows: dict[str, Callable[[str], object]] = {"lab": lambda file: read_window(file, SPEC)}
    for name, decode in libraries().items():
        different = sum(not np.array_equal(decode(read(file)), pillow(read(file))) for file in files)
        if different:
            print(f"{name}: {different} images have other pixels than Pillow's")
        rows[name] = partial(_read_with, decode)
        rows[f"{name}, window"] = partial(_window_with, decode)
    rows["Pillow, no array, window"] = lambda file: window(Image.open(file).convert("RGB"))
    for name, times in measure(rows, files, args.rounds).items():
        print(f"| {name} | {1e3 * statistics.median(times):.2f} |", flush=True)


def libraries() -> dict[str, Decode]:
    """The decoders that are installed, Pillow first."""
    found: dict[str, Decode] = {"Pillow": pillow}
    for add in (_opencv, _simplejpeg, _imagecodecs, _torchvision):
        try:
            name, decode = add()
        except ImportError:
            continue
        found[name] = decode
    return found


def read(file: str) -> bytes:
    """A file's content."""
    return Path(file).read_bytes()


def pillow(content: bytes) -> np.ndarray:
    """Pillow's pixels."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _read_with(decode: Decode, file: str) -> np.ndarray:
    return decode(read(file))


def _window_with(decode: Decode, file: str) -> np.ndarray:
    return window(Image.fromarray(decode(read(file))))


def window(image: Image.Image) -> np.ndarray:
    """The evaluation view of a decoded image, as `read_window` makes it."""
    (step,) = SPEC.steps
    size = step.target(*image.size)  # type: ignore[union-attr]
    part = _centre_part(size, [SPEC.canvas, SPEC.window])
    assert part is not None
    return np.asarray(resize_part(image, size, part))


def measure(rows: dict[str, Callable[[str], object]], files: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of this thread's processor time for each image and round."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for file in files:
            for name, work in rows.items():
                start = time.thread_time()
                work(file)
                times[name].append(time.thread_time() - start)
    return times


def _opencv() -> tuple[str, Decode]:
    import cv2  # type: ignore[import-not-found, unused-ignore]

    cv2.setNumThreads(1)

    def decode(data: bytes) -> np.ndarray:
        return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))

    return f"OpenCV {cv2.__version__}", decode


def _simplejpeg() -> tuple[str, Decode]:
    import simplejpeg  # type: ignore[import-not-found, unused-ignore]

    return f"simplejpeg {installed('simplejpeg')}", lambda data: simplejpeg.decode_jpeg(data, "RGB")


def _imagecodecs() -> tuple[str, Decode]:
    import imagecodecs  # type: ignore[import-not-found, unused-ignore]

    return f"imagecodecs {imagecodecs.__version__}", imagecodecs.jpeg8_decode


def _torchvision() -> tuple[str, Decode]:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(data: bytes) -> np.ndarray:
        pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
        return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())

    return f"torchvision {installed('torchvision')}", decode


if __name__ == "__main__":
    main()
