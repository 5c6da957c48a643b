"""The whole path, timed command by command: train, export, predict, and predict again without torch.

    python bench/path.py --data DIR [--arch resnet50] [--precision fp16] [--device cuda] [train options]

Each command is a process of its own, so the times are what a user waits. Options that lab predict or export do not know
go to lab train. The figures of a GPU are made with: --arch resnet50 --precision fp16 --device cuda
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from machine import installed, machine

ROOT = Path(__file__).resolve().parent.parent
NO_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"): raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, NoTorch())
import cli
cli.main(sys.argv[1:])
"""


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a data set with a CSV or folder to predict")
    parser.add_argument("--predict", default="resnet_18_test.csv", help="in DATA: what to predict")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="auto")
    args, train_options = parser.parse_known_args()
    packages = ("torch", "onnx", "onnxruntime-gpu", "pillow")
    print(machine(), *(f"{name} {installed(name)}" for name in packages), "n = 1", sep=", ", flush=True)
    seconds_of_commands(args.data.resolve(), args.predict, args.arch, args.precision, args.device, train_options)


def seconds_of_commands(
    data: Path, predicted: str, arch: str, precision: str, device: str, train_options: Sequence[str]
) -> dict[str, float]:
    """Train on a data set, export, and predict what `predicted` names in it; seconds of each command."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = scratch / "model.onnx"
        predict: list[object] = ["predict", data / predicted, "--model", model, "--device", device]
        predict += ["--out", scratch / "submission.csv"]
        truth = data / "test_labels.csv"
        predict += ["--truth", truth] if truth.is_file() else []
        train = ["train", arch, "--data", data, "--out", scratch, "--device", device, *train_options]
        seconds = {"train": timed("train", ["-m", "cli", *train])}
        run = next(path.parent for path in scratch.glob("*/best.safetensors"))
        export = ["-m", "cli", "export", run, "--precision", precision, "--device", device, "--out", model]
        return seconds | {
            "export and gate": timed("export and gate", export),
            "predict": timed("predict", ["-m", "cli", *predict]),
            "predict, no torch": timed("predict, no torch", ["-c", NO_TORCH, *predict]),
        }


def timed(title: str, arguments: Sequence[object]) -> float:
    """Run one command in a process of its own; print its seconds and the lines of its output that hold figures."""
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT)]),
        },
    )
    seconds = time.perf_counter() - start
    print(f"\n{title}: {seconds:.1f} s", flush=True)
    if process.returncode:
        sys.exit(process.stderr)
    telling = re.compile(r"^ ?(epoch|device|gate|CPU|CUDA) |accuracy|rows:")
    print("\n".join(f"    {line}" for line in process.stdout.splitlines() if telling.search(line)), flush=True)
    return seconds


if __name__ == "__main__":
    main()
