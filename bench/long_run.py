"""Memory, file descriptors and threads of one process that predicts, or trains, for a long time.

    python bench/long_run.py DIR [--images 1000000] [--distinct 500] [--side 64] [--batch-size 64] [--seconds 0]
    python bench/long_run.py DIR --epochs 200 [--distinct 500] [--side 64] [--batch-size 64]

A small network with random weights predicts drawn PNG files again and again through `Predictor.stream`, as a service
would; or one is trained on them as by `lab train`, with a fifth of them for validation. A line each 10 s; the last line
compares the most that was held later with the state after the first minute on the processor.
"""

import argparse
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from machine import installed, machine
from PIL import Image
from rich.console import Console

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from helpers.networks import FULL_SIZE, make_card, small_resnet, tiny  # noqa: E402

from exporter.graph import build_graph  # noqa: E402
from infer import load  # noqa: E402
from infer.core.console import Screen  # noqa: E402
from infer.model.runs import HISTORY  # noqa: E402
from trainer.config import TrainConfig  # noqa: E402
from trainer.model.architectures import ARCHITECTURES  # noqa: E402
from trainer.train import train as train_run  # noqa: E402

EVERY = 10.0
"""Seconds between lines."""
SETTLED = 60.0
"""Seconds on the processor after which nothing may grow any more; a process that is stopped has not started yet."""


class State(NamedTuple):
    """What a process holds."""

    megabytes: float
    """Resident memory."""
    descriptors: int
    """Open files."""
    threads: int
    """Those of libraries too."""

    def most(self, other: "State") -> "State":
        """The larger of each."""
        return State(
            max(self.megabytes, other.megabytes),
            max(self.descriptors, other.descriptors),
            max(self.threads, other.threads),
        )


def state() -> State:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(os.listdir("/proc/self/task"))
    return State(pages * resource.getpagesize() / 1e6, len(os.listdir("/proc/self/fd")), threads)


def draw(folder: Path, count: int, side: int, seed: int = 0) -> list[str]:
    """Draw different images; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng((seed, number)).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
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


class Watch:
    """What the process holds, printed every 10 s, and the most that it held since the first minute."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.due = self.start + EVERY
        self.busy = time.process_time()
        self.settled: State | None = None
        self.most: State | None = None

    def look(self, count: int) -> float:
        """Print a line where it is time for one; returns the seconds since the start."""
        now = time.monotonic()
        if now >= self.due:
            self.due = now + EVERY
            self.line(count)
        return now - self.start

    def line(self, count: int) -> None:
        """Print a row of the table."""
        seconds, held = time.monotonic() - self.start, state()
        print(f"| {seconds:.0f} | {count} | {held.megabytes:.1f} | {held.descriptors} | {held.threads} |", flush=True)
        if self.settled is None and time.process_time() - self.busy >= SETTLED:
            self.settled = self.most = held
        elif self.most is not None:
            self.most = self.most.most(held)

    def summary(self) -> str:
        """How much more was held later than after the first minute."""
        if self.settled is None or self.most is None:
            return "it ended within its first minute on the processor"
        return (
            "the most after the first minute on the processor: "
            f"memory {self.most.megabytes - self.settled.megabytes:+.1f} MB, "
            f"descriptors {self.most.descriptors - self.settled.descriptors:+d}, "
            f"threads {self.most.threads - self.settled.threads:+d}"
        )


def predict(options: argparse.Namespace, watch: Watch) -> int:
    """Predict; returns the number of images."""
    paths = draw(options.folder / "images", options.distinct, options.side)
    model = options.folder / "model.onnx"
    model.write_bytes(build_graph(tiny(), make_card()).SerializeToString())
    predictor, count = load(model, device="cpu"), 0
    for prediction in predictor.stream(Repeated(paths, range(options.images)), options.batch_size):
        assert prediction.error is None
        count += 1
        if watch.look(count) >= options.seconds > 0:
            break
    return count


def train(options: argparse.Namespace, watch: Watch) -> int:
    """Train, and watch from another thread; returns the number of epochs."""
    for number, split in enumerate(("train", "valid")):
        for label in ("a", "b"):
            images = options.distinct * (1 if number else 4) // 10
            draw(options.folder / "set" / split / label, images, options.side, seed=number * 2 + (label == "b"))
    runs = options.folder / "runs"
    config = TrainConfig(
        architecture="resnet18",
        data=str(options.folder / "set"),
        epochs=options.epochs,
        image_size=options.side,
        batch_size=options.batch_size,
        device="cpu",
        out=str(runs),
    )
    ended = threading.Event()

    def epochs() -> int:
        return sum(max(0, len(history.read_text().splitlines()) - 1) for history in runs.glob(f"*/{HISTORY}"))

    def look() -> None:
        while not ended.wait(1.0) and epochs() < options.epochs:  # the report that follows is made once
            watch.look(epochs())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, architecture in FULL_SIZE.items():
                patch.setitem(ARCHITECTURES, name, replace(architecture, build=partial(small_resnet, name)))
            train_run(config, Screen(Console(quiet=True)))
    finally:
        ended.set()
        watcher.join()
    return epochs()


def main() -> None:
    """Predict or train, and print what the process holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=0, help="train for so many in place of predicting")
    parser.add_argument("--distinct", type=int, default=500)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0, help="stop predicting after so many; 0: not")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {installed(name)}" for name in ("torch", "onnxruntime-gpu"))
    print(f"{machine()}, {versions}, {options.side} px, batch {options.batch_size}")
    kind = "epochs" if options.epochs else "images"
    print(f"| seconds | {kind} | MB | descriptors | threads |\n|---|---|---|---|---|", flush=True)
    watch = Watch()
    count = train(options, watch) if options.epochs else predict(options, watch)
    summary = watch.summary()
    watch.line(count)
    print(f"\n{count} {kind} in {time.monotonic() - watch.start:.0f} s; {summary}")


if __name__ == "__main__":
    main()
