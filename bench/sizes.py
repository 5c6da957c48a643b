"""What many image sizes cost `--decode gpu` beside one size: decoding and resizing, images/s, in turns.

    python bench/sizes.py [--images 500] [--device cpu]

Drawn JPEGs of about the same number of pixels: all of one size, or each of a size of its own. With --device cpu the
same code decodes and resizes on the CPU, which shows what the host does for each size. `first` is a decoder's first
pass over the files, in which it makes the matrices of each size; `again` is its second.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from machine import installed, machine
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.images.preprocess import PixelSpec  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.model.providers import providers_for  # noqa: E402
from infer.pipeline.batches import Decoder, read_batches  # noqa: E402
from infer.pipeline.gpu_decode import GPU_CHUNK, GpuDecoder  # noqa: E402

SIDE = 360
SIZE = 224


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--device", default="cpu", choices=["cuda", "cpu"])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    packages = ", ".join(f"{name} {installed(name)}" for name in ("nvidia-nvimgcodec-cu13", "pillow"))
    print(f"{machine()}, onnxruntime {runtime_version()}, {packages}; {args.images} images, medians of {args.rounds}")
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "one size": draw_images(Path(folder) / "one", [(SIDE, SIDE)] * args.images),
            f"{args.images} sizes": draw_images(Path(folder) / "many", different_sizes(args.images)),
        }
        (provider,) = providers_for(args.device, "onnxruntime")
        open_decoder = partial(GpuDecoder, [PixelSpec.default(SIZE)], "none", provider)
        one, many = rates_of_passes(list(sets.values()), open_decoder, GPU_CHUNK, args.rounds, passes=2)
    for index, when in enumerate(("first", "again")):
        medians = [statistics.median(rates[index] for rates in rounds) for rounds in (one, many)]
        cost = statistics.median(a[index] / b[index] - 1 for a, b in zip(one, many, strict=True))
        print(f"{when}: one size {medians[0]:.0f}, {args.images} sizes {medians[1]:.0f} images/s: {cost:+.1%} time")


def rates_of_passes(
    sets: Sequence[Sequence[str]], open_decoder: Callable[[], Decoder], batch: int, rounds: int, passes: int = 1
) -> list[list[list[float]]]:
    """images/s of each set in each round and pass, in turns; each round has a new decoder, which knows no size.

    Before it is timed, a decoder decodes a batch of the first set: a device's first work is slow.
    """
    rates: list[list[list[float]]] = [[] for _ in sets]
    for _ in range(rounds):
        for files, of_set in zip(sets, rates, strict=True):
            decoder = open_decoder()
            _decode(sets[0][:batch], decoder, batch)
            of_set.append([decoding_rate(files, decoder, batch) for _ in range(passes)])
    return rates


def decoding_rate(files: Sequence[str], decoder: Decoder, batch: int) -> float:
    """images/s of decoding these files once."""
    start = time.perf_counter()
    return _decode(files, decoder, batch) / (time.perf_counter() - start)


def _decode(files: Sequence[str], decoder: Decoder, batch: int) -> int:
    return sum(len(found.errors) for found in read_batches(files, decoder, batch))


def different_sizes(count: int) -> list[tuple[int, int]]:
    """Sizes (width, height) that are all different and have about SIDE x SIDE pixels."""
    widths = np.linspace(SIDE * 0.7, SIDE / 0.7, count).round().astype(int)
    jitter = np.random.default_rng(0).integers(-20, 21, count)
    return [(int(width), int(SIDE * SIDE / width + extra)) for width, extra in zip(widths, jitter, strict=True)]


def draw_images(folder: Path, sizes: list[tuple[int, int]]) -> list[str]:
    """Write a JPEG of each size; their paths."""
    folder.mkdir()
    coarse = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    files = []
    for number, size in enumerate(sizes):
        content = io.BytesIO()
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(content, "JPEG")
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(content.getvalue())
    return [str(file) for file in files]


if __name__ == "__main__":
    main()
