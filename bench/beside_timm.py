"""timm's inference.py and `lab predict`: whole commands over the same images, in turns.

    python bench/beside_timm.py DIR --script inference.py [--python PYTHON] [--arch resnet18] [--images 400]
    python bench/beside_timm.py DIR --script inference.py --model model.onnx [--bf16]

The script is a file of timm's repository, not of its package; --python runs it, with timm and pandas installed there.
Both commands start, read and prepare every image, run a network of the same architecture and write a CSV. The script
has random weights and computes with channels last and two loader processes: in float32, or with --bf16 under autocast,
which is faster where the processor multiplies bfloat16 numbers. Files that lab runs in OpenVINO must say in their
evidence that they were gated there: give them by --model. Medians, and the median of the rounds' ratios.
"""

import argparse
import functools
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from against import linked, seconds
from machine import installed, machine
from precision import make_models

from infer.core.cpu import instructions
from infer.model.card import read_card

LAB = (sys.executable, "-m", "cli")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="images")
    parser.add_argument("--script", type=Path, required=True, help="timm's inference.py")
    parser.add_argument("--python", type=shlex.split, default=[sys.executable], help="Python that has timm")
    parser.add_argument("--arch", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], choices=["fp32", "int8"], help="of lab")
    parser.add_argument("--model", type=Path, nargs="*", default=[], metavar="FILE", help="exported files instead")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--bf16", action="store_true", help="let the script compute in bfloat16")
    parser.add_argument("--batch-size", type=int, default=64, help="of the script")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the script")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(
        f"{machine()}, {' '.join(instructions())}, torch {installed('torch')}; medians of {args.rounds} rounds in turns"
    )
    print("| network | file | inference.py | lab predict | ratio |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        images = linked(args.folder, args.images, scratch / "images")
        made = (
            file.resolve() for arch in args.arch for file in make_models(arch, args.image_size, scratch, args.precision)
        )
        for model in [file.resolve() for file in args.model] or made:
            card = read_card(model)
            size, arch = card.pixels.window[0], card.architecture
            pairs = [
                (script_seconds(args, arch, size, images, scratch), seconds(LAB, images, model, scratch))
                for _ in range(args.rounds)
            ]
            script, lab = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(theirs / ours for theirs, ours in pairs)
            print(f"| {arch} | {card.precision} | {script:.2f} s | {lab:.2f} s | {ratio:.2f} |", flush=True)


def script_seconds(args: argparse.Namespace, arch: str, size: int, images: Path, scratch: Path) -> float:
    """Seconds of timm's script over the folder, start-up included."""
    workers, batch, side = str(args.workers), str(args.batch_size), str(size)
    command = [*args.python, str(args.script.resolve()), "--data-dir", str(images), "--model", arch]
    command += ["--amp", "--amp-dtype", "bfloat16"] if args.bf16 else []
    command += ["--num-classes", "2", "--img-size", side, "--topk", "1", "--batch-size", batch, "--workers", workers]
    command += ["--device", "cpu", "--channels-last", "--results-dir", str(scratch), "--results-file", "timm"]
    command += ["--results-format", "csv", "--no-console-results"]
    command += ["--checkpoint", str(make_checkpoint(tuple(args.python), arch, scratch / f"{arch}.pth"))]
    start = time.perf_counter()
    run = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{args.script} ended with {run.returncode}:\n{run.stderr}")
    return time.perf_counter() - start


@functools.cache
def make_checkpoint(python: tuple[str, ...], arch: str, file: Path) -> Path:
    """Random weights of timm's network: without a checkpoint the script downloads ImageNet's."""
    code = f"import timm, torch; torch.save(timm.create_model({arch!r}, num_classes=2).state_dict(), {str(file)!r})"
    subprocess.run([*python, "-c", code], check=True)
    return file


if __name__ == "__main__":
    main()
