"""An earlier lab and this one: whole commands, in turns.

    python bench/against.py DIR --old OLD/bin/lab [--arch resnet18] [--model FILE ...] [--images 200] [--only one]
    python bench/against.py DIR --old OLD/bin/lab --train [--image-size 64] [--lab-precision bf16]
    python bench/against.py DIR --old OLD/bin/lab --export RUN

Rows: `lab predict` of some images of the folder, the same while another process keeps one core busy, and of one image
from the shell; with --train instead, the second and later epochs of `lab train`, whose images are in the cache by then,
as the runs' history.csv gives them; with --export, the export of a finished run, gated in ONNX Runtime alone, which is
what the old lab has. Both labs read the same model files, which have random weights. --lab-precision is
given to the new lab alone (the old one computes in float32). Medians, and the median of the rounds' ratios.
"""

import argparse
import contextlib
import csv
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from machine import machine
from precision import make_models

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.core.cpu import instructions  # noqa: E402
from infer.images.listing import list_images  # noqa: E402

PREDICTIONS = ("many", "busy", "one")
"""The rows of prediction: many images, the same beside a busy core, and one image."""
Measure = Callable[[Sequence[str]], float]
"""From the words of a lab's command to seconds, or to images/s."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="images; with --train a data set")
    parser.add_argument("--old", type=shlex.split, required=True, help="the earlier lab's command")
    parser.add_argument(
        "--new", type=shlex.split, default=[sys.executable, "-m", "cli"], help="the command of this lab"
    )
    parser.add_argument("--arch", nargs="+", default=["resnet18"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], choices=["fp32", "int8"])
    parser.add_argument("--model", type=Path, nargs="*", default=[], metavar="FILE", help="files instead")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=PREDICTIONS, choices=PREDICTIONS, help="rows of prediction")
    parser.add_argument("--train", action="store_true", help="measure training instead")
    parser.add_argument("--export", type=Path, metavar="RUN", help="measure the export of this run of DIR instead")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32, help="of training")
    parser.add_argument("--lab-precision", default="", choices=["", "fp32", "bf16"], help="the new lab's, in training")
    args = parser.parse_args()
    print(f"{machine()}, {' '.join(instructions())}; medians of {args.rounds} rounds in turns")
    print("| | old | new | old / new time |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        rows = train_rows if args.train else export_rows if args.export else predict_rows
        for title, measure, unit in rows(args, Path(name)):
            pairs = [(measure(args.old), measure(args.new)) for _ in range(args.rounds)]
            old, new = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(b / a if unit == "images/s" else a / b for a, b in pairs)
            print(f"| {title} | {old:.2f} {unit} | {new:.2f} {unit} | {ratio:.2f} |", flush=True)


def predict_rows(args: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, Measure, str]]:
    """Title, measurement and unit of each row about prediction."""
    many = linked(args.folder, args.images, scratch / "images")
    single = next(many.iterdir())
    models = args.model or [
        file for arch in args.arch for file in make_models(arch, args.image_size, scratch, args.precision)
    ]
    for model in models:
        run = partial(seconds, model=model.resolve(), scratch=scratch)
        rows: dict[str, tuple[str, Measure]] = {
            "many": (f"{args.images} images", partial(run, source=many)),
            "busy": (f"{args.images} images, one core busy", partial(beside_another, run, source=many)),
            "one": ("one image", partial(run, source=single)),
        }
        yield from (
            (f"{model.name}, {title}", measure, "s") for name, (title, measure) in rows.items() if name in args.only
        )


def linked(folder: Path, count: int, target: Path) -> Path:
    """A folder with links to `count` images of a folder, which repeat where it has fewer."""
    target.mkdir()
    names = list_images(folder)
    for number, name in enumerate(islice(cycle(names), count)):
        (target / f"{number:05}{Path(name).suffix}").symlink_to((folder / name).resolve())
    return target


def seconds(lab: Sequence[str], source: Path, model: Path, scratch: Path) -> float:
    """Seconds of `lab predict`, start-up included."""
    command = [*lab, "predict", str(source), "--model", str(model), "--no-sample", "--out", str(scratch / "out.csv")]
    start = time.perf_counter()
    subprocess.run(command, cwd=working_folder(lab), check=True, capture_output=True)
    return time.perf_counter() - start


def working_folder(lab: Sequence[str]) -> Path | None:
    """Where `python -m cli` finds this repository; an installed lab runs anywhere."""
    return ROOT if "-m" in lab else None


def beside_another(run: Callable[..., float], lab: Sequence[str], source: Path) -> float:
    """The same, while another process keeps one core busy."""
    with busy_core():
        return run(lab, source=source)


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy, no longer than this process lives."""
    work = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10**6))"
    process = subprocess.Popen([sys.executable, "-c", work])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def train_rows(args: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, Measure, str]]:
    """Title, measurement and unit of each row about training."""
    for arch in args.arch:
        train = partial(warm_rate, arch=arch, args=args, scratch=scratch)
        precision = f" ({args.lab_precision} against float32)" if args.lab_precision else ""
        yield f"train {arch}, {args.image_size} px, warm epoch{precision}", train, "images/s"


def warm_rate(lab: Sequence[str], arch: str, args: argparse.Namespace, scratch: Path) -> float:
    """Images/s of training in the epochs after the first."""
    out = Path(tempfile.mkdtemp(dir=scratch))
    command = [*lab, "train", arch, "--data", str(args.folder.resolve()), "--epochs", str(args.epochs)]
    command += ["--image-size", str(args.image_size), "--batch-size", str(args.batch_size), "--out", str(out)]
    command += ["--precision", args.lab_precision] if args.lab_precision and lab == args.new else []
    environment = {**os.environ, "LAB_CACHE": str(scratch / "cache" / Path(lab[0]).name)}
    subprocess.run(command, cwd=working_folder(lab), check=True, capture_output=True, env=environment)
    (history,) = out.glob("*/history.csv")
    with history.open(newline="") as rows:
        return statistics.median(float(row["images_per_second"]) for row in list(csv.DictReader(rows))[1:])


def export_rows(args: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, Measure, str]]:
    """The export of a run in each precision."""
    for precision in args.precision:
        yield f"export, {precision}", partial(export_seconds, precision=precision, args=args, scratch=scratch), "s"


def export_seconds(lab: Sequence[str], precision: str, args: argparse.Namespace, scratch: Path) -> float:
    """Seconds of `lab export`, start-up included."""
    command = [*lab, "export", str(args.export.resolve()), "--opset", "17", "--device", "cpu"]
    command += ["--out", str(scratch / "model.onnx"), "--precision", precision]
    command += ["--runtime", "onnxruntime"] if lab == args.new else []
    start = time.perf_counter()
    subprocess.run(command, cwd=working_folder(lab), check=True, capture_output=True)
    (scratch / "model.onnx").unlink()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
