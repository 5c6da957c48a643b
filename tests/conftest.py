"""What tests share: a small data set, a run trained on it, and its exported model, each made once."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# tiny networks gain nothing from several threads, which would wait for one another on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from helpers.pictures import OTHER_PICTURES
from PIL import Image
from rich.console import Console

import cli
import infer.reports.pictures
import trainer.model.network
from infer.core.console import Screen
from trainer.data.synthetic import make_set
from trainer.model.resnet import BasicBlock, ResNet


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


def run_lab(*arguments: str | Path) -> Ran:
    """Run a command of lab in this process, as the shell would."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, and a terminal of 100 columns."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(folder))
        patch.setenv("COLUMNS", "100")
        yield folder


@pytest.fixture(scope="session", autouse=True)
def one_picture() -> Iterator[None]:
    """Of a report's pictures the confusion matrix alone: all take a second, and a hundred tests make reports."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OTHER_PICTURES:
            patch.setattr(infer.reports.pictures, name, lambda *_: None)
        yield


@pytest.fixture
def all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test of what a report looks like: all of them, as for a user."""
    for name, draw in OTHER_PICTURES.items():
        monkeypatch.setattr(infer.reports.pictures, name, draw)


@pytest.fixture(scope="session")
def lab() -> Callable[..., Ran]:
    return run_lab


@pytest.fixture
def quiet() -> Screen:
    return Screen(Console(quiet=True))


@pytest.fixture
def heard() -> tuple[Screen, io.StringIO]:
    """A screen, and what has been said on it."""
    text = io.StringIO()
    return Screen(Console(file=text, width=100)), text


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 synthetic cells in the reports' CSV layout: 24 train, 12 valid, 12 test. Not to be written to."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    make_set(folder, {"train": 24, "valid": 12, "test": 12})
    return folder


@pytest.fixture(scope="session")
def run(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 trained on `cells` for two epochs at 32 px. Not to be written to."""
    runs = tmp_path_factory.mktemp("runs")
    small = ("--epochs", "2", "--batch-size", "8", "--image-size", "32")
    ran = run_lab("train", "resnet18", "--data", cells, *small, "--device", "cpu", "--out", runs)
    assert ran.code == 0, ran.err
    return next(runs.iterdir())


@pytest.fixture(scope="session")
def model(run: Path) -> Path:
    """`run`, exported at opset 17. Not to be written to."""
    ran = run_lab("export", run, "--opset", "17")
    assert ran.code == 0, ran.err
    return run / "model.onnx"


@pytest.fixture(scope="module")
def small_networks() -> Iterator[None]:
    """Networks of a hundredth of the size, for tests of what happens around them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            trainer.model.network,
            "build_resnet",
            lambda _, classes: ResNet(BasicBlock, (1, 1, 1, 1), classes, base_width=8),
        )
        yield


@pytest.fixture
def save_image() -> Callable[..., Path]:
    """Write a random RGB image of a size, with a seed, in the format that the name asks for."""

    def save(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
        return path

    return save
