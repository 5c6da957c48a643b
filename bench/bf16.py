"""A training step in bfloat16 beside float32, in turns: whether a processor gains from it.

    python bench/bf16.py [--arch resnet18 resnet50] [--image-size 224 64] [--rounds 4]

The bare step of random pixels: network, loss, gradients, SGD, channels last. ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 in the
environment takes AMX away from a processor that has it.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from machine import installed, machine
from torch.nn.functional import cross_entropy

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.core.cpu import instructions, processor  # noqa: E402
from trainer.model.architectures import ARCHITECTURES  # noqa: E402

LIMIT = "ONEDNN_MAX_CPU_ISA"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--image-size", type=int, nargs="+", default=[224, 64])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    limit = os.environ.get(LIMIT, "none")
    print(f"{processor()}, {machine()}, {' '.join(instructions())}, torch {installed('torch')}; {LIMIT}: {limit}")
    print("| network | pixels | float32 / bfloat16 time, median | least | most |\n|---|---|---|---|---|")
    for arch in args.arch:
        for side in args.image_size:
            step = make_step(arch, side, args.batch_size)
            for mixed in (False, True):
                step(mixed)
            found = [seconds(partial(step, False)) / seconds(partial(step, True)) for _ in range(args.rounds)]
            cells = (arch, str(side), *(f"{value:.2f}" for value in (statistics.median(found), min(found), max(found))))
            print(f"| {' | '.join(cells)} |", flush=True)


def make_step(arch: str, side: int, batch_size: int) -> Callable[[bool], None]:
    """A training step, which computes in bfloat16 where it is given true."""
    torch.manual_seed(0)
    network = ARCHITECTURES[arch].build(2).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    pixels = torch.randn(batch_size, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch_size) % 2

    def step(mixed: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = cross_entropy(network(pixels).float(), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def seconds(run: Callable[[], None]) -> float:
    """How long two steps take."""
    start = time.perf_counter()
    run()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
