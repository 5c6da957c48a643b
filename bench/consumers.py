"""In which programs does an exported file open, and do they answer as ONNX Runtime does? Writes docs/consumers.md.

    python bench/consumers.py --work DIR --run RUN --images FOLDER_OR_CSV [--only NAME...] [--files NAME...] [--keep]

Every consumer (bench/consumer_table.py) is installed in an environment of its own from PyPI or npm, at a pinned
version, and answers for the same pixels, which lab read. A cell is the largest difference of a probability from ONNX
Runtime's on the same file, or why there is none. What was measured stays in DIR/results, so that a part can be measured
again with --only.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from consumer_environments import environment
from consumer_page import write_page
from consumer_table import BY_NAME, CONSUMERS, REFERENCE, Consumer
from machine import machine
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from exporter.config import ExportConfig  # noqa: E402
from exporter.export import export  # noqa: E402
from infer.core.console import Screen  # noqa: E402
from infer.core.cpu import instructions  # noqa: E402
from infer.images.listing import list_images  # noqa: E402
from infer.images.preprocess import read_window  # noqa: E402
from infer.model.card import read_card  # noqa: E402
from infer.model.input_kinds import INPUT_KINDS, UINT8  # noqa: E402

FILES: dict[str, dict[str, Any]] = {
    "fp32": {"opset": 17},
    "fp32, opset 20": {"opset": 20},
    "fp32, opset 23": {"opset": 23},
    "fp16": {"precision": "fp16"},
    "int8": {"precision": "int8"},
    "fp32, float input": {"input": "float"},
}
"""The files by the name of their column, with the options of `lab export`."""
GATE_IMAGES = 64
"""Of the gate of these exports: enough to refuse a wrong file; docs/export.md has the gate's own figures."""


def main() -> None:
    """Parse, export, ask every consumer, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for files, environments and results")
    parser.add_argument("--run", type=Path, required=True, help="a finished run, which is exported")
    parser.add_argument("--images", type=Path, required=True, help="a folder of images, or a CSV with the column Path")
    parser.add_argument("--only", nargs="+", default=list(BY_NAME), choices=list(BY_NAME), metavar="NAME")
    parser.add_argument("--files", nargs="+", default=list(FILES), choices=list(FILES), metavar="NAME")
    parser.add_argument("--keep", action="store_true", help="keep the environments, for another try")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for all images of a file")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "consumers.md")
    args = parser.parse_args()
    (args.work / "results").mkdir(parents=True, exist_ok=True)
    files = {name: exported(args.run, name, args.work) for name in args.files}
    images = save_pixels(args.images, next(iter(files.values())), args.work)
    network = read_card(next(iter(files.values()))).architecture
    circumstances = f"{network}, {images} images; {machine()}, {' '.join(instructions())}"
    for consumer in CONSUMERS:  # the reference is the first
        if consumer.name in args.only:
            ask(consumer, files, args)
            write_page(args.page, args.work / "results", list(FILES), circumstances)


def exported(run: Path, name: str, work: Path) -> Path:
    """The run's file of this name, behind the gate; one that an earlier call left is taken again."""
    out = work / "files" / f"{name.replace(', ', '.').replace(' ', '-')}.onnx"
    if not out.exists():
        out.parent.mkdir(exist_ok=True)
        config = ExportConfig(run=run, out=out, gate_images=GATE_IMAGES, **FILES[name])
        export(config, Screen(Console(quiet=True)))
    return out


def save_pixels(images: Path, model: Path, work: Path) -> int:
    """Write lab's pixels of all images as the file takes them, uint8 [n, H, W, 3], to pixels.npy; return n."""
    if images.suffix == ".csv":
        with images.open(newline="", encoding="utf-8") as rows:
            paths = [images.parent / row["Path"] for row in csv.DictReader(rows)]
    else:
        paths = [images / name for name in list_images(images)]
    spec = read_card(model).pixels
    pixels = np.stack([read_window(str(path), spec) for path in paths])
    np.save(work / "pixels.npy", pixels)
    for stale in work.glob("images.*.npy"):
        stale.unlink()
    return len(pixels)


def images_for(model: Path, work: Path) -> Path:
    """The images as this file takes them, made from pixels.npy at the first call."""
    kind = read_card(model).input
    path = work / f"images.{kind}.npy"
    if not path.exists():
        feed = INPUT_KINDS[kind].feed
        if feed is None:
            raise ValueError(f"{model} takes no windows")
        np.save(path, feed(np.load(work / "pixels.npy")))
    return path


def ask(consumer: Consumer, files: dict[str, Path], args: argparse.Namespace) -> None:
    """Install a consumer, let it answer for each file, and save what came of it."""
    saved = args.work / "results" / f"{consumer.name}.json"
    cells = json.loads(saved.read_text())["cells"] if saved.exists() else {}
    print(f"{consumer.name}: ", end="", flush=True)
    with environment(consumer, args.work, args.keep) as (command, trouble):
        for name, file in files.items():
            if consumer.kind == "c" and read_card(file).input != UINT8:
                continue  # the example takes bytes
            if trouble:
                cells[name] = {"skipped": trouble}
            else:
                out = args.work / "answers" / f"{consumer.name}.{file.stem}.npy"
                out.parent.mkdir(exist_ok=True)
                out.unlink(missing_ok=True)
                with tempfile.TemporaryDirectory(dir=args.work) as folder:
                    cell = run([*command, file, images_for(file, args.work), out], args.timeout, folder)
                cells[name] = {**cell, **compared(out, args.work / "answers" / f"{REFERENCE}.{file.stem}.npy")}
            print(f"{name}: {cells[name]}", end="; ", flush=True)
    print()
    saved.write_text(json.dumps({"cells": cells}, indent=1))


def run(command: Sequence[str | Path], timeout: float, folder: str) -> dict[str, str]:
    """The last line of a consumer's output, or how it ended. Its temporary files lie in the folder."""
    # a session of its own: whatever it started ends with it
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "TMPDIR": folder},
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"refused": f"no answer in {timeout:.0f} s"}
    if process.returncode < 0:
        return {"refused": f"the process ended with signal {-process.returncode}"}
    try:
        return dict(json.loads(out.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        lines = (out + err).strip().splitlines() or [f"exit code {process.returncode}"]
        return {"refused": lines[-1]}


def compared(answers: Path, expected: Path) -> dict[str, float]:
    """Largest difference of a probability and number of labels that differ; nothing where there are no answers."""
    if not answers.exists():
        return {}
    ours, theirs = np.load(expected), np.load(answers)
    if ours.shape != theirs.shape or not np.isfinite(theirs).all():
        raise ValueError(f"{answers} holds {theirs.shape}, not finite values of {ours.shape}")
    return {
        "difference": float(np.abs(ours - theirs).max()),
        "labels": int((ours.argmax(1) != theirs.argmax(1)).sum()),
    }


if __name__ == "__main__":
    main()
