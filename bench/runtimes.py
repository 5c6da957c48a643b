"""ONNX Runtime and OpenVINO on lab's files on a CPU: images/s of the network alone, in turns in one process.

    python bench/runtimes.py [--arch resnet18 resnet50] [--precision fp32 int8] [--batch-size 1 16] [--rounds 7]
    python bench/runtimes.py --file model.onnx model.int8.onnx

Each provider of the table that this machine can use for a file runs it, through the session that predicts, on the same
random images, for half a second in each round; the ratio to ONNX Runtime is the median of the rounds' ratios. Nothing
runs for a while before each turn, as ONNX Runtime's threads spin on after their work. Networks have random weights,
which changes no time. Beside them OpenVINO's own benchmark_app runs the file in a process of its own for `--seconds`,
in the same precision, with its hints latency and throughput.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from machine import installed, machine
from precision import make_models

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.core.cpu import instructions, processor  # noqa: E402
from infer.model.card import read_card  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.model.providers import Provider, providers_for  # noqa: E402
from infer.model.session import Session  # noqa: E402

HINTS = ("latency", "throughput")
TURN, PAUSE = 0.5, 0.3
"""Seconds."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], choices=["fp32", "int8"])
    parser.add_argument("--file", type=Path, nargs="+", default=[], help="exported files instead of new networks")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5, help="of benchmark_app; 0 leaves it out")
    args = parser.parse_args()
    versions = f"onnxruntime {runtime_version()}, openvino {installed('openvino')}"
    print(f"{machine()}, {processor()}, {' '.join(instructions())}, {versions}; medians of {args.rounds} rounds")
    columns = ("network", "file", "batch", "provider", "images/s", "/ ONNX Runtime")
    print(*(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns))), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        made = (make_models(arch, args.image_size, Path(folder), args.precision) for arch in args.arch)
        for file in args.file or chain.from_iterable(made):
            card = read_card(file)
            for batch in args.batch_size:
                for cells in rows(file, card.precision, batch, args.rounds, args.seconds):
                    print(f"| {card.architecture} | {card.precision} | {batch} | {' | '.join(cells)} |", flush=True)


def rows(file: Path, precision: str, batch: int, count: int, seconds: int) -> list[list[str]]:
    """A row for each provider, ONNX Runtime first, and for benchmark_app with each hint: name, images/s, ratio."""
    usable = [row for row in providers_for("cpu") if row.problem(precision) is None]
    providers = sorted(usable, key=lambda row: not row.runs_anywhere)
    sessions = [Session(file, provider=provider) for provider in providers]
    measured = np.array([[turn(session, batch) for session in sessions] for _ in range(count + 1)])[1:]
    ratios = [statistics.median(column / measured[:, 0]) for column in measured.T]
    rates = [statistics.median(column) for column in measured.T]
    found = [
        [f"{provider} {provider.computes[precision]}", f"{rate:.1f}", f"{ratio:.2f}"]
        for provider, rate, ratio in zip(providers, rates, ratios, strict=True)
    ]
    for provider in providers[1:]:
        for hint in HINTS if seconds else ():
            rate = benchmark_app(file, provider, batch, hint, seconds)
            found.append([f"benchmark_app, {provider} {hint}", f"{rate:.1f}" if rate else "fails", "-"])
    return found


def turn(session: Session, batch: int) -> float:
    """Images/s of a session over TURN seconds, after a pause."""
    height, width = session.card.pixels.window
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    time.sleep(PAUSE)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < TURN:
        session.run(images)
        done += batch
    return done / (time.perf_counter() - start)


def benchmark_app(file: Path, provider: Provider, batch: int, hint: str, seconds: int) -> float | None:
    """Images/s by OpenVINO's benchmark_app in a provider's precision; None where it is missing or fails."""
    name = Path(sys.executable).with_name("benchmark_app")
    command = str(name) if name.exists() else shutil.which("benchmark_app")
    if command is None:
        return None
    height, width = Session(file, "cpu", runtime="onnxruntime").card.pixels.window
    precision = provider.options["INFERENCE_PRECISION_HINT"]
    arguments = [
        "-m",
        str(file),
        "-d",
        "CPU",
        "-hint",
        hint,
        "-t",
        str(seconds),
        "-infer_precision",
        f"CPU:{precision}",
    ]
    shape = ["-data_shape", f"images[{batch},{height},{width},3]"]
    environment = {**os.environ, "CI": "true"}  # OpenVINO's telemetry is silent there
    ran = run([command, *arguments, *shape], environment)
    found = re.search(r"Throughput:\s+([\d.]+) FPS", ran)
    return float(found[1]) if found else None


def run(command: Sequence[str], environment: dict[str, str]) -> str:
    """What a command prints."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    main()
