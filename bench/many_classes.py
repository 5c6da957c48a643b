"""Time and memory of a whole report on many classes, as docs/report.md shows them.

    python bench/many_classes.py [--images 10000] [--rounds 3]

Each report is made in a process of its own, on one thread: numbers with 2,000 resamples, predictions.csv, all pictures
and the page, without thumbnails. Predictions are simulated: normal logits, of which the true class's is larger by 4.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from machine import installed, machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from infer.config import ReportConfig  # noqa: E402
from infer.images.preprocess import PixelSpec  # noqa: E402
from infer.metrics.point_values import softmax  # noqa: E402
from infer.metrics.result import EvaluationResult  # noqa: E402
from infer.model.card import IMAGENET, ClassName, ModelCard  # noqa: E402
from infer.reports.provenance import Origin  # noqa: E402
from infer.reports.report import save_report  # noqa: E402
from infer.reports.thumbnails import Gallery  # noqa: E402

CLASSES = (2, 10, 100, 300, 1000)
SIGNAL = 4.0


def simulated(classes: int, images: int) -> EvaluationResult:
    """Predictions for so many images of equally frequent classes."""
    rng = np.random.default_rng(0)
    truth = np.arange(images) % classes
    logits = rng.standard_normal((images, classes), dtype=np.float32)
    logits[np.arange(images), truth] += SIGNAL
    return EvaluationResult(
        title="simulated",
        classes=tuple(ClassName(f"class {k}", str(k)) for k in range(classes)),
        ordered=False,
        paths=tuple(f"{k}.png" for k in range(images)),
        truth=truth,
        probabilities=softmax(logits),
    )


def make_report(classes: int, images: int) -> None:
    """Make one report, and print its seconds, of these on the processor, peak memory in MiB, and size of page in MB."""
    result = simulated(classes, images)
    card = ModelCard(
        architecture="resnet18",
        classes=result.classes,
        pixels=PixelSpec.default(224),
        normalization=IMAGENET,
        ordered=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        start, busy = time.perf_counter(), time.process_time()
        save_report(result, Path(folder), ReportConfig(), Origin(card=card), Gallery(0))
        seconds, processor = time.perf_counter() - start, time.process_time() - busy
        page = Path(folder, "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{seconds} {processor} {peak} {page / 1e6}")


def measured(classes: int, images: int) -> list[float]:
    """What `make_report` prints, from a process of its own."""
    command = [sys.executable, __file__, "--images", str(images), "--classes", str(classes)]
    return [float(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--classes", type=int, help="make one report of so many classes in this process")
    args = parser.parse_args()
    if args.classes:
        make_report(args.classes, args.images)
        return
    versions = ", ".join(f"{name} {installed(name)}" for name in ("numpy", "scikit-learn", "scipy", "matplotlib"))
    print(f"{machine()}, {versions}; {args.images} images, medians of {args.rounds}, one thread\n")
    print("| classes | seconds | on the processor | peak memory, MiB | page, MB |\n| --- | --- | --- | --- | --- |")
    for classes in CLASSES:
        rounds = [measured(classes, args.images) for _ in range(args.rounds)]
        seconds, processor, peak, page = map(statistics.median, zip(*rounds, strict=True))
        print(f"| {classes} | {seconds:.1f} | {processor:.1f} | {peak:.0f} | {page:.1f} |", flush=True)


if __name__ == "__main__":
    main()
