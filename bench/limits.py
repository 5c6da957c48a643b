"""The largest inputs that lab promises to take: what each step on them costs, and the errors for what exceeds them.

    python bench/limits.py DIR [--only images resumed rows classes pixels path] [--images 1000000] [--rows 10000000] ...

    images    a folder of so many images (4 kB of disk for each): listing, reading for training, `lab predict` with a
              report, which must have a row for each image and leave no other file
    resumed   `lab predict` and `lab data check` of some of these (--resumed), and `lab predict` again, which is killed
              after the first write of its progress file and run again: its CSV must be the same, byte for byte
    rows      a CSV of so many rows, which name these images in turn: listing, reading for training, `lab data split`
    classes   so many classes: `lab train` for an epoch, `lab export`, `lab predict` with a report
    pixels    an image of so many pixels as PNG, JPEG and TIFF: `lab predict`; one row more: refused
    path      a folder whose path has so many bytes: `lab train`, `lab export`, `lab predict`; one too long: refused

Each step is a process of its own, and so is what makes its input, since a process counts the peak memory of the one
that starts it as its own. DIR's folders are made where they are not there yet, and kept.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import installed, machine
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
CPU = ("--device", "cpu")
SIDE = 32
PART = 200
"""Bytes of a folder's name in a long path; file systems allow 255."""


class Step(NamedTuple):
    """What a process took, and how it ended."""

    seconds: float
    """On the processor, so that other work on the machine does not count."""
    megabytes: float
    """The most memory that it had at once, in MiB."""
    code: int
    errors: str


Run = Callable[[Sequence[str | Path | int]], Step]
"""Runs `lab` with arguments, or, after "step", a function of this file on a path and numbers."""


Kill = Callable[[Sequence[str | Path | int], Path], None]
"""Runs `lab predict`, and ends it when this progress file has content."""


def run_process(words: Sequence[str | Path | int]) -> Step:
    """Run in a new process, whose working folder is the repository."""
    program = [__file__] if words[0] == "step" else ["-m", "cli"]
    command = [sys.executable, *program, *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Step(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, errors.strip())


def kill_at_first_progress(words: Sequence[str | Path | int], progress: Path) -> None:
    """Run `lab`, and kill it when its progress file has content. Raises RuntimeError where it has ended before."""
    process = subprocess.Popen([sys.executable, "-m", "cli", *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (progress.exists() and progress.stat().st_size):
        time.sleep(0.05)
    if process.returncode is not None:
        raise RuntimeError("lab predict has ended before its first progress was written; give more images")
    process.kill()
    process.wait()


class Limits:
    """Makes the inputs in a folder, runs the steps and prints a row for each."""

    def __init__(self, folder: Path, run: Run, kill: Kill) -> None:
        self.folder, self.run, self.kill = folder, run, kill

    def must(self, *words: str | Path | int, code: int = 0) -> Step:
        """Run a step that ends with an exit code. Raises RuntimeError where it ends with another."""
        step = self.run(words)
        if step.code != code:
            raise RuntimeError(f"exit code {step.code} instead of {code}: {step.errors}")
        return step

    def step(self, limit: str, title: str, *words: str | Path | int, code: int = 0) -> None:
        """Run a step, and print what it took. Raises RuntimeError as `must`."""
        step = self.must(*words, code=code)
        message = step.errors.splitlines()[-1].replace(f"{self.folder}/", "") if code else ""
        refused = f" ({message})" if code else ""
        print(f"| {limit} | {title}{refused} | {step.seconds:.1f} | {step.megabytes:.0f} |", flush=True)

    def model(self) -> Path:
        """A tiny network with random weights."""
        file = self.folder / "model.onnx"
        if not file.exists():
            self.must("step", "make_model", file)
        return file

    def images(self, count: int) -> None:
        """A folder of images in two class folders."""
        folder, limit = self.folder / f"images-{count}", f"a folder of {count:,} images"
        if not folder.exists():
            self.must("step", "make_images", folder, count)
        self.step(limit, "`lab predict`: list", "step", "list_inputs", folder)
        self.step(limit, "`lab train`: read, check, split, fingerprint", "step", "prepare_training", folder)
        out = self.folder / "images.csv"
        self.step(limit, "`lab predict` with a report", "predict", folder, *predicting(self.model(), out))
        self.require_whole(out, count)

    def require_whole(self, out: Path, count: int) -> None:
        """Check that a CSV has a row for each image, and nothing else is there. Raises RuntimeError."""
        with out.open(encoding="utf-8") as lines:
            rows = sum(1 for _ in lines) - 1
        left = [path.name for path in self.folder.iterdir() if path.name.startswith(".lab-") or path == unfinished(out)]
        if rows != count or left:
            raise RuntimeError(f"{out} has {rows} rows for {count} images, and beside it are {left}")

    def resumed(self, count: int) -> None:
        """A folder of images whose prediction is killed once."""
        folder, limit = self.folder / f"images-{count}", f"a folder of {count:,} images"
        if not folder.exists():
            self.must("step", "make_images", folder, count)
        whole, out = self.folder / "whole.csv", self.folder / "resumed.csv"
        self.step(limit, "`lab predict` with a report", "predict", folder, *predicting(self.model(), whole))
        words = ("predict", folder, *predicting(self.model(), out))
        self.kill(words, unfinished(out))
        self.step(limit, "the same, killed and run again: what was left", *words)
        self.require_whole(out, count)
        if out.read_bytes() != whole.read_bytes():
            raise RuntimeError(f"{out} is not {whole}")
        self.step(limit, "`lab data check`", "data", "check", folder, "--out", self.folder / "checked")

    def rows(self, count: int, images: int) -> None:
        """A CSV whose rows name images, and their labels."""
        folder, limit = self.folder / f"images-{images}", f"a CSV of {count:,} rows for {images:,} images"
        if not folder.exists():
            self.must("step", "make_images", folder, images)
        table = folder / "train.csv"
        self.must("step", "write_rows", table, count)
        try:
            self.step(limit, "`lab predict`: list", "step", "list_inputs", table)
            self.step(limit, "`lab train`: read, check, split, fingerprint", "step", "prepare_training", folder)
            self.step(limit, "`lab data split`", "data", "split", folder, "--out", self.folder / "split", "--force")
        finally:
            table.unlink()  # the folder is one of class folders again

    def classes(self, count: int) -> None:
        """Drawn images of many classes, a few of each."""
        limit, data, runs = f"{count:,} classes", self.folder / "classes", self.folder / "classes-runs"
        if not data.exists():
            self.must("step", "draw_classes", data / "train", count, 2)
            self.must("step", "draw_classes", data / "valid", count, 2)
        self.step(limit, "`lab train`, an epoch", "train", "resnet18", "--data", data, *options(1), "--out", runs)
        run, out = only_run(runs), self.folder / "classes.csv"
        self.step(limit, "`lab export`", "export", run, *CPU)
        self.step(limit, "`lab predict` with a report", "predict", data / "valid", *predicting(run / "model.onnx", out))

    def pixels(self, count: int) -> None:
        """Images of noise in blocks, in the shape 5 : 4."""
        model, width = self.model(), int((count * 5 / 4) ** 0.5)
        height = count // width
        for suffix in (".png", ".jpg", ".tif"):
            file, out = self.folder / f"large{suffix}", self.folder / "large.csv"
            self.must("step", "draw_large", file, width, height)
            size = f"{suffix[1:]}, {file.stat().st_size / 1e6:.0f} MB"
            limit = f"an image of {width} x {height} pixels ({size})"
            self.step(limit, "`lab predict`", "predict", file, *predicting(model, out))

    def too_many_pixels(self, most: int) -> None:
        """An image of one row more than the limit."""
        file, width = self.folder / "too-large.png", 1000
        self.must("step", "draw_blank", file, width, most // width + 1)
        words = ("predict", file, *predicting(self.model(), self.folder / "large.csv"))
        self.step(f"an image of more than {most:,} pixels", "`lab predict`", *words, code=1)

    def path(self, length: int) -> None:
        """A data set, its run and its prediction in a folder with a long path, and one with a path that is too long."""
        folder = long_folder(self.folder / "path", length)
        limit, runs = f"a path of {len(os.fsencode(folder))} bytes", folder / "runs"
        self.must("step", "draw_classes", folder, 2, 24)
        self.step(limit, "`lab train`, an epoch", "train", "resnet18", "--data", folder, *options(1), "--out", runs)
        run = only_run(runs)
        self.step(limit, "`lab export`", "export", run, *CPU)
        words = ("predict", folder, *predicting(run / "model.onnx", folder / "s.csv"))
        self.step(limit, "`lab predict` with a report", *words)
        too_long = folder / ("x" * 200) / "s.csv"
        words = ("predict", folder, *predicting(run / "model.onnx", too_long))
        self.step(f"a path of {len(os.fsencode(too_long))} bytes", "`lab predict --out`", *words, code=1)


def unfinished(out: Path) -> Path:
    """The progress file of `lab predict --out`."""
    return out.with_suffix(".progress")


def options(epochs: int) -> tuple[str, ...]:
    """Options of `lab train` for small images."""
    return ("--epochs", str(epochs), "--image-size", str(SIDE), "--batch-size", "16", *CPU)


def predicting(model: Path, out: Path) -> tuple[str | Path, ...]:
    """Options of `lab predict`."""
    return ("--model", model, *CPU, "-b", "256", "--no-sample", "--out", out)


def only_run(runs: Path) -> Path:
    """The one run in a folder of runs."""
    (run,) = runs.iterdir()
    return run


def draw(file: Path, number: int) -> None:
    """Draw one of many different images."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE // 2, SIDE // 2, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def draw_classes(folder: Path, classes: int, images: int) -> None:
    """Draw class folders of so many images each."""
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(images):
            draw(folder / f"class{label}" / f"{number}.png", label * images + number)


def draw_large(file: Path, width: int, height: int) -> None:
    """Draw one image of noise in blocks of 16."""
    blocks = np.random.default_rng(0).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width]).save(file)


def draw_blank(file: Path, width: int, height: int) -> None:
    """Draw a black image of one bit a pixel."""
    Image.new("1", (width, height)).save(file)


def make_images(folder: Path, count: int) -> None:
    """Draw so many different images in two class folders and folders of a thousand."""
    draft = folder.with_suffix(".part")
    for number in range(count):
        label = "ab"[number % 2]
        target = draft / label / f"{label}{number // 2000}" / f"{number}.png"
        if number % 2000 < 2:
            target.parent.mkdir(parents=True, exist_ok=True)
        draw(target, number)
    draft.rename(folder)


def make_model(file: Path) -> None:
    """Write a tiny network for images of 32 pixels, with random weights, that answers all of its classes."""
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers.networks import make_card, varied

    from exporter.graph import build_graph

    file.write_bytes(build_graph(varied(), make_card()).SerializeToString())


def write_rows(table: Path, count: int) -> None:
    """Write a CSV that names the images below its folder in turn."""
    paths = [path.relative_to(table.parent).as_posix() for path in table.parent.rglob("*.png")]
    with table.open("w", encoding="utf-8") as file:
        file.write("Path,label\n")
        file.writelines(f"{path},{path[0]}\n" for path in (paths[row % len(paths)] for row in range(count)))


def long_folder(base: Path, length: int) -> Path:
    """A new folder below `base` whose path has so many bytes."""
    folder = base.resolve()
    while (missing := length - len(os.fsencode(folder)) - 1) > 0:
        folder = folder / ("x" * (missing if missing <= PART else min(PART, missing - 2)))
    folder.mkdir(parents=True)
    return folder


def list_inputs(source: Path) -> None:
    """List the images of a source as `lab predict` does."""
    from infer.model.card import ClassName
    from infer.tables.inputs import read_inputs

    assert read_inputs(source, (ClassName("a", "a"), ClassName("b", "b"))).labels


def prepare_training(folder: Path) -> None:
    """All that `lab train` does with a table before the first image is decoded."""
    from infer.dataset.source import read_table
    from infer.dataset.stratify import with_validation
    from infer.dataset.validation import check_trainable

    table = read_table(folder)
    check_trainable(table)
    split = with_validation(table, 0)
    split.fingerprint()
    split.write(folder.parent / "data.csv")


STEPS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        make_model,
        make_images,
        write_rows,
        draw_classes,
        draw_large,
        draw_blank,
        list_inputs,
        prepare_training,
    )
}


def run_step(name: str, path: str, *numbers: str) -> None:
    """Run a function of this file by its name."""
    STEPS[name](Path(path), *map(int, numbers))


def main() -> None:
    """Make the inputs, run the steps, print a table."""
    if sys.argv[1:2] == ["step"]:
        sys.path.insert(0, str(ROOT))
        run_step(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--only", nargs="+", default=["images", "resumed", "rows", "classes", "pixels", "path"])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--resumed", type=int, default=100_000, metavar="IMAGES")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--pixels", type=int, default=80_000_000)
    parser.add_argument("--path", type=int, default=4000, help="bytes of a folder's path")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("LAB_CACHE", str(args.folder.resolve() / "cache"))
    limits = Limits(args.folder.resolve(), run_process, kill_at_first_progress)
    print(f"{machine()}, torch {installed('torch')}, onnxruntime {installed('onnxruntime-gpu')}, n = 1\n")
    print("| limit | step | seconds on the processor | MiB |\n|---|---|---|---|", flush=True)
    if "images" in args.only:
        limits.images(args.images)
    if "resumed" in args.only:
        limits.resumed(args.resumed)
    if "rows" in args.only:
        limits.rows(args.rows, args.images)
    if "classes" in args.only:
        limits.classes(args.classes)
    if "pixels" in args.only:
        limits.pixels(args.pixels)
        limits.too_many_pixels(80_000_000)
    if "path" in args.only:
        limits.path(args.path)


if __name__ == "__main__":
    main()
