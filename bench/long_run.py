"""Memory, file descriptors and threads of one process that predicts for a long time.

    python bench/long_run.py DIR [--images 1000000] [--distinct 500] [--side 64] [--batch-size 64] [--seconds 0]

A small network with random weights predicts drawn PNG files again and again through `Predictor.stream`, as a service
would. A line each 10 s; the last line compares the end with the state after the first minute.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from machine import installed, machine
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from helpers.networks import make_card, tiny  # noqa: E402

from exporter.graph import build_graph  # noqa: E402
from infer import load  # noqa: E402

EVERY = 10.0
"""Seconds between lines."""
SETTLED = 60.0
"""Seconds after which nothing may grow any more."""


def state() -> tuple[float, int, int]:
    """Resident memory in MB, open file descriptors, and threads, of libraries too, of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(os.listdir("/proc/self/task"))
    return pages * resource.getpagesize() / 1e6, len(os.listdir("/proc/self/fd")), threads


def draw(folder: Path, count: int, side: int) -> list[str]:
    """Draw different images; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((side, side)).save(path)
    return list(map(str, paths))


class Repeated(Sequence[str]):
    """The same paths again and again, without a list of all."""

    def __init__(self, paths: Sequence[str], indices: range) -> None:
        self.paths, self.indices = paths, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice) -> "str | Repeated":  # type: ignore[override]
        if isinstance(index, slice):
            return Repeated(self.paths, self.indices[index])
        return self.paths[self.indices[index] % len(self.paths)]

    def __iter__(self) -> Iterator[str]:
        return (self.paths[index % len(self.paths)] for index in self.indices)


def main() -> None:
    """Predict, and print what the process holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=int, default=500)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0, help="stop after so many; 0: not")
    options = parser.parse_args()
    paths = draw(options.folder / "images", options.distinct, options.side)
    model = options.folder / "model.onnx"
    model.write_bytes(build_graph(tiny(), make_card()).SerializeToString())
    print(f"{machine()}, onnxruntime {installed('onnxruntime-gpu')}, {options.side} px, batch {options.batch_size}")
    print("| seconds | images | MB | descriptors | threads |\n|---|---|---|---|---|", flush=True)
    predictor, start, settled = load(model, device="cpu"), time.monotonic(), None
    due, count = start + EVERY, 0
    for prediction in predictor.stream(Repeated(paths, range(options.images)), options.batch_size):
        assert prediction.error is None
        count += 1
        if (now := time.monotonic()) >= due:
            line(now - start, count)
            due += EVERY
            if settled is None and now - start >= SETTLED:
                settled = state()
            if options.seconds and now - start >= options.seconds:
                break
    end = state()
    line(time.monotonic() - start, count)
    if settled:
        print(
            f"\n{count} images; after the first minute: memory {end[0] - settled[0]:+.1f} MB, "
            f"descriptors {end[1] - settled[1]:+d}, threads {end[2] - settled[2]:+d}"
        )


def line(seconds: float, count: int) -> None:
    """Print a row of the table."""
    memory, descriptors, threads = state()
    print(f"| {seconds:.0f} | {count} | {memory:.1f} | {descriptors} | {threads} |", flush=True)


if __name__ == "__main__":
    main()
