"""How long one image takes: from the shell, and from a program that keeps the model loaded.

    python bench/latency.py DIR [--arch resnet18] [--precision fp32 int8] [--model FILE ...] [-n 200]

Each row is `lab.load(...).predict([file])`, decoding included, by each runtime in turns on the same files: ONNX
Runtime and, with --model and where the files' evidence names it, OpenVINO. Without --model, weights are random.
p50 and p99 of n, after a warm-up. The last column is `lab predict FILE` as a process of its own, the median of 5.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from machine import machine
from precision import make_models

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.core.cpu import instructions  # noqa: E402
from infer.core.errors import LabError  # noqa: E402
from infer.images.listing import list_images  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.predictor import Predictor  # noqa: E402

RUNTIMES = ("onnxruntime", "openvino", "openvino-bf16")
SHELL_RUNS = 5
COLUMNS = ("model", "runtime", "p50, ms", "p99, ms", "from the shell, s")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of images")
    parser.add_argument("--arch", nargs="+", default=["resnet18"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], choices=["fp32", "int8"])
    parser.add_argument("--model", type=Path, nargs="*", default=[], metavar="FILE", help="exported files instead")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("-n", type=int, default=200)
    args = parser.parse_args()
    files = list(islice(cycle(str(args.folder / name) for name in list_images(args.folder)), args.n))
    print(f"{machine()}, {' '.join(instructions())}, onnxruntime {runtime_version()}, n = {args.n}")
    print(*(f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS))), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        models = args.model or [
            file for arch in args.arch for file in make_models(arch, args.image_size, Path(name), args.precision)
        ]
        for model in models:
            predictors = open_predictors(model)
            for runtime, times in measure(predictors, files).items():
                p50, p99 = (sorted(times)[int(share * (len(times) - 1))] for share in (0.5, 0.99))
                shell = statistics.median(from_shell(model, runtime, files[0], Path(name)) for _ in range(SHELL_RUNS))
                print(f"| {model.name} | {runtime} | {1e3 * p50:.1f} | {1e3 * p99:.1f} | {shell:.2f} |", flush=True)


def open_predictors(model: Path) -> dict[str, Predictor]:
    """The model by each runtime that can run it here; those that cannot are named with the reason."""
    predictors = {}
    for runtime in RUNTIMES:
        try:
            predictors[runtime] = Predictor([model], "cpu", runtime=runtime)
        except LabError as error:
            print(f"{runtime} is left out: {error}", file=sys.stderr)
    return predictors


def measure(predictors: dict[str, Predictor], files: list[str]) -> dict[str, list[float]]:
    """Seconds of each prediction of one image, the runtimes in turns."""
    times: dict[str, list[float]] = {runtime: [] for runtime in predictors}
    for predictor in predictors.values():
        predictor.predict(files[:1])
    for file in files:
        for runtime, predictor in predictors.items():
            start = time.perf_counter()
            predictor.predict([file])
            times[runtime].append(time.perf_counter() - start)
    return times


def from_shell(model: Path, runtime: str, file: str, scratch: Path) -> float:
    """Seconds of `lab predict` of one image."""
    command = [sys.executable, "-m", "cli", "predict", file, "--model", model.resolve(), "--runtime", runtime]
    start = time.perf_counter()
    subprocess.run(
        [*map(str, command), "--device", "cpu", "--no-sample", "--out", str(scratch / "out.csv")],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
