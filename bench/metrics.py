"""Seconds that a report's numbers take: 2,000 resamples of n predictions, on one thread.

Run it as python bench/metrics.py [--images 10000] [--rounds 5].
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from coverage import Study
from machine import installed, machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from infer.metrics.metrics import measure  # noqa: E402

SHARES = {2: (0.5, 0.5), 5: (0.4, 0.1, 0.3, 0.1, 0.1), 10: (0.1,) * 10}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    versions = ", ".join(f"{name} {installed(name)}" for name in ("numpy", "scikit-learn"))
    print(f"{machine()}, {versions}; {args.images} images, medians of {args.rounds}\n")
    print("| classes | patients | s |\n| --- | --- | --- |")
    for classes, shares in SHARES.items():
        for patients in (0, args.images // 20):
            result = Study(args.images, patients, shares).draw(args.images, patients, np.random.default_rng(0))
            measure(result, resamples=1)  # imports
            seconds = []
            for _ in range(args.rounds):
                start = time.perf_counter()
                measure(result)
                seconds.append(time.perf_counter() - start)
            print(f"| {classes} | {patients or 'none known'} | {statistics.median(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
