"""Makes tests/data/legacy: a file of each kind as lab wrote it before its modules moved, for tests/test_legacy.py.

    git clone . /tmp/old && cd /tmp/old && git checkout c0026b2
    python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[train]'
    OMP_NUM_THREADS=1 .venv/bin/python .../tests/data/make_legacy.py .../tests/data/legacy

It was run once, by hand, with that version; the files are kept as it wrote them. The images have 48 px and the network
8 channels, so that all of it takes half a megabyte. In the recipes the folder's own path is replaced by LEGACY.
"""

# ruff: noqa: I001  (modules of that version, whose order would depend on which of them still exist)
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["LAB_CACHE"] = tempfile.mkdtemp()

import cli
import infer.resume
import infer.tune
import numpy as np
import onnxruntime
import torch
import trainer.network
import trainer.record
from infer.cpu import processor
from infer.session import Session
from PIL import Image
from torch import nn
from trainer.builtin import make_set
from trainer.resnet import BasicBlock, ResNet

TRAINING = (
    *("--epochs", "30", "--batch-size", "4", "--image-size", "32", "--device", "cpu", "--optimizer", "adamw"),
    *("--learning-rate", "0.02", "--ema", "0.5", "--augment", "rotation(20), hflip, jitter(0.1), mixup(0.2) @ 0.2"),
    *("--sampling", "balanced", "--monitor", "balanced-accuracy"),
)
STOPPED = 26
"""The epoch after which one run was stopped; the other, unbroken one has its best epoch later."""


class Killed(BaseException):
    """No handler in lab catches it, so that nothing is tidied up."""


def main(folder: Path) -> None:
    """Make everything in a new folder."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    trainer.network.build_resnet = build_narrow
    draw_cells(Path("cells"))
    lab("train", "resnet18", "--data", "cells", *TRAINING)
    next(Path("runs").iterdir()).rename("finished")
    with stopped_training():
        lab("train", "resnet18", "--data", "cells", *TRAINING)
    next(Path("runs").iterdir()).rename("stopped")
    predict = ("predict", "cells/test", "--no-sample", "--device", "cpu", "--model")
    for precision in ("fp32", "fp16", "int8"):
        model, out = f"finished/{precision}.onnx", f"predictions/{precision}"
        lab("export", "finished", "--precision", precision, "--calibrate", "--cam", "--out", model)
        outs = ("--out", f"{out}.csv", "--probabilities", f"{out}-probabilities.csv")
        lab(*predict, model, "--truth", "cells/test_labels.csv", "--no-pictures", *outs)
    with killed_prediction():
        lab(*predict, "finished/fp32.onnx", "--batch-size", "4", "--out", "killed.csv")
    infer.tune._rates = lambda *_: [1.0, 2.0]  # the second choice, which is not the default, is the faster one
    lab(*predict, "finished/fp32.onnx", "--tune", "--out", "tuned.csv")
    shutil.copy(Path(os.environ["LAB_CACHE"]) / "tuned.json", ".")
    lab("data", "check", "cells")
    shutil.copy("data-check-cells/exclude.csv", ".")
    made_by = {
        "processor": f"{processor()}, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {module.__name__: module.__version__ for module in (np, onnxruntime, torch)},
    }
    Path("made-by.json").write_text(json.dumps(made_by, indent=2) + "\n")
    tidy_up(folder)


def lab(*arguments: str) -> None:
    """Run a command of lab in this process."""
    with contextlib.suppress(SystemExit, Killed):
        cli.main(list(arguments))


def build_narrow(_: str, classes: int) -> ResNet:
    """A ResNet of four blocks, 8 channels wide all through."""
    network = ResNet(BasicBlock, (1, 1, 1, 1), classes, base_width=8)
    network.layer2, network.layer3, network.layer4 = (nn.Sequential(BasicBlock(8, 8, 2)) for _ in range(3))
    network.fc = nn.Linear(8, classes)
    return network


def draw_cells(folder: Path) -> None:
    """33 cells as small PNGs, one of the training images twice."""
    make_set(folder, {"train": 16, "valid": 8, "test": 8})
    for path in folder.glob("*/*.jpg"):
        with Image.open(path) as image:
            image.resize((48, 48), Image.Resampling.LANCZOS).quantize(64).convert("RGB").save(path.with_suffix(".png"))
    for path in folder.glob("*.csv"):
        path.write_text(path.read_text().replace(".jpg", ".png"))
    shutil.copy(folder / "train" / "synthetic_0000.png", folder / "train" / "twice.png")
    table = folder / "train.csv"
    row = next(line for line in table.read_text().splitlines() if "synthetic_0000" in line)
    table.write_text(table.read_text() + row.replace("synthetic_0000", "twice") + "\n")
    for path in (*folder.glob("*/*.jpg"), *folder.glob("resnet*"), folder / "sample_submission.csv"):
        path.unlink()


@contextlib.contextmanager
def stopped_training() -> Iterator[None]:
    add = trainer.record.Record.add

    def add_and_stop(record: trainer.record.Record, *arguments: object) -> str:
        line = add(record, *arguments)
        record.flush()
        if record.epochs == STOPPED:
            raise Killed
        return line

    trainer.record.Record.add = add_and_stop
    yield
    trainer.record.Record.add = add


@contextlib.contextmanager
def killed_prediction() -> Iterator[None]:
    run, after, batches = Session.run, infer.resume.AFTER, iter((True, False))

    def run_once(session: Session, pixels: np.ndarray) -> object:
        if next(batches):
            return run(session, pixels)
        raise Killed

    Session.run, infer.resume.AFTER = run_once, 0.0
    yield
    Session.run, infer.resume.AFTER = run, after


def tidy_up(folder: Path) -> None:
    """Leave out what no command of lab reads, and the name of this machine's folder."""
    for name in ("runs", "data-check-cells", "predictions/fp16.report", "predictions/int8.report"):
        shutil.rmtree(name)
    kept = (".csv", ".json", ".toml", ".safetensors", ".ckpt", ".onnx", ".progress", ".png")
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.suffix not in kept or path.name in ("confusion.png", "curves.png", "tuned.csv"):
            path.unlink()
    for path in (*folder.glob("finished/report/*.png"), Path("finished/last.ckpt")):  # resuming reads that of stopped/
        path.unlink()
    for path in folder.glob("*/recipe.toml"):
        path.write_text(path.read_text().replace(str(folder), "LEGACY"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
