"""How the CPU's threads share a batch, while the machine is free and while other processes keep cores busy.

    python bench/threads.py FILE [--runtime openvino] [--batch-size 32] [--busy 0 1] [--rounds 5]

Images/s of an exported file, in turns, and the median of the rounds' ratios to the first column: `shared` are a
runtime's own threads, which in ONNX Runtime spin while they wait; `no spinning` are the same without; `divided` is what
lab does with a batch (`infer.model.cpu_engine`); with --batch-size 1 it is `shared`.
"""

import argparse
import contextlib
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from against import busy_core
from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.config import RUNTIMES  # noqa: E402
from infer.core.cpu import instructions  # noqa: E402
from infer.model.cpu_engine import CpuEngine  # noqa: E402
from infer.model.engine import library_version  # noqa: E402
from infer.model.providers import (  # noqa: E402
    DIVIDED,
    ONNXRUNTIME_LIBRARY,
    OPENVINO_LIBRARY,
    SPINNING,
    providers_for,
)
from infer.model.session import Session  # noqa: E402

ONNXRUNTIME_WAYS = {
    "shared": {SPINNING: "1", DIVIDED: "0"},
    "no spinning": {SPINNING: "0", DIVIDED: "0"},
    "divided": {SPINNING: "1"},
}
OPENVINO_WAYS = {"shared": {DIVIDED: "0"}, "divided": {DIVIDED: "1"}}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--runtime", default=ONNXRUNTIME_LIBRARY, choices=RUNTIMES[1:])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1], help="processes that keep a core busy")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    (provider,) = providers_for("cpu", args.runtime)
    session = Session(args.file, provider=provider)
    height, width = session.card.pixels.window
    pixels = np.random.default_rng(0).integers(0, 256, (args.batch_size, height, width, 3), dtype=np.uint8)
    ways = OPENVINO_WAYS if provider.library == OPENVINO_LIBRARY else ONNXRUNTIME_WAYS
    options = session.default_options(provider)
    engines = {name: CpuEngine(args.file, provider, None, {**options, **own}) for name, own in ways.items()}
    version = f"{provider.library} {library_version(provider.library)}"
    print(f"{machine()}, {' '.join(instructions())}, {version}, {provider.label}, n = {args.rounds} rounds")
    print(f"| {args.file.name}, batch {args.batch_size}, busy cores | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    for busy in args.busy:
        with contextlib.ExitStack() as stack:
            for _ in range(busy):
                stack.enter_context(busy_core())
            times = measure(engines, pixels, args.rounds)
        first = next(iter(times.values()))
        cells = []
        for own in times.values():
            ratio = statistics.median(a / b for a, b in zip(first, own, strict=True))
            cells.append(f"{args.batch_size / statistics.median(own):.1f} ({ratio:.2f})")
        print(f"| {busy} | {' | '.join(cells)} |", flush=True)


def measure(engines: dict[str, CpuEngine], pixels: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds of each engine for the batch, in turns; the first round, which warms up, is left out."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.run(["logits"], {"images": pixels})
            if number:
                times[name].append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
