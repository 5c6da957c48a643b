"""What tests share: a small data set, a run trained on it, and its exported model, each made once."""

import contextlib
import functools
import gc
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

# tiny networks gain nothing from several threads, which would wait for one another on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import typer.main
from filelock import FileLock
from helpers import idle_cuda as idle_libraries
from helpers import pictures
from helpers.exports import reuse_exports, run_exporter
from helpers.networks import FULL_SIZE, small_resnet
from PIL import Image
from rich.console import Console

import cli
import exporter.graph
import trainer.run.precision
from infer.config import Device
from infer.core.console import Screen
from infer.core.temporary import temporary_folder
from infer.model import openvino_runtime
from infer.model.cuda import find_problem
from infer.model.session import Session
from trainer.data.synthetic import make_set
from trainer.model.architectures import ARCHITECTURES

FIND_OPENVINO_PROBLEM = openvino_runtime.find_problem


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


def pytest_configure(config: pytest.Config) -> None:
    """Hide this machine's GPUs from the suite and the commands that it starts, unless `-m gpu` asks for them."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: some tests wait for others' processes, and a core would wait with them."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no process is left with one of them in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    gc.freeze()  # what is there now stays to the end, and every run asks for a collection, which would walk all of it


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_session() -> Iterator[None]:
    """One thread for each session of ONNX Runtime where several processes run the tests: they share the cores."""
    open_session = Session.__init__

    def open_small(
        self: Session, path: Path, device: Device = "auto", threads: int | None = 1, *more: Any, **named: Any
    ) -> None:
        open_session(self, path, device, threads, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            patch.setattr(Session, "__init__", open_small)
        yield


@pytest.fixture(autouse=True)
def gpu(request: pytest.FixtureRequest) -> None:
    """Skip a test marked `gpu` where no GPU can be used, with the reason."""
    if request.node.get_closest_marker("gpu"):
        if request.config.option.markexpr != "gpu":
            pytest.skip("GPUs are hidden from the other tests: run pytest -m gpu")
        if problem := find_problem():
            pytest.skip(problem)


@pytest.fixture(scope="session", autouse=True)
def openvino_hidden() -> Iterator[None]:
    """Hide OpenVINO, which is optional: most tests are about what all machines have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_runtime, "find_problem", lambda: "openvino is hidden from the other tests")
        yield


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show OpenVINO to a test that is about it; skip the test where it is not installed."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    monkeypatch.setattr(openvino_runtime, "find_problem", FIND_OPENVINO_PROBLEM)


@pytest.fixture(scope="session", autouse=True)
def bfloat16_hidden() -> Iterator[None]:
    """Hide a processor's bfloat16 from training: its results are not those that other processors give."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.run.precision, "bf16_instructions", tuple)
        patch.setattr(trainer.run.precision, "fast_bf16", lambda: None)
        yield


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, with what a killed process left; at the end nothing may be there."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with temporary_folder() as folder:
        pass
    folder.mkdir()
    (folder / "half").write_text("written when its process was killed")
    return tmp_path / "tmp"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, and a terminal of 100 columns."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(folder))
        patch.setenv("COLUMNS", "100")
        yield folder


@pytest.fixture(scope="session", autouse=True)
def command_line_built_once() -> Iterator[None]:
    """Build the tree of commands and options once: a thousand commands run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def fast_pictures() -> Iterator[None]:
    """Make blank pictures, and only the confusion matrix of each report: a hundred tests make reports."""
    with pytest.MonkeyPatch.context() as patch:
        pictures.use(patch, pictures.BLANK)
        yield


@pytest.fixture(scope="session", autouse=True)
def small_networks() -> Iterator[None]:
    """Small networks wherever a command builds one: most tests are about what happens around it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, architecture in FULL_SIZE.items():
            patch.setitem(ARCHITECTURES, name, replace(architecture, build=partial(small_resnet, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Call the torch exporter once for each network: a hundred tests export the same few."""
    with pytest.MonkeyPatch.context() as patch:
        reuse_exports(patch, shared_folder(tmp_path_factory) / "graphs")
        yield


@pytest.fixture
def exported_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the torch exporter at each export, for a test that is about it."""
    monkeypatch.setattr(exporter.graph, "_export", run_exporter)


@pytest.fixture
def full_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks as they are, for a test that is about them."""
    for name, architecture in FULL_SIZE.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw and lay out pictures as for a user, for a test that is about how they look."""
    pictures.use(monkeypatch, pictures.LAID_OUT)


@pytest.fixture
def all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw all pictures of each report, as for a user."""
    pictures.use(monkeypatch, pictures.ALL)


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


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder of this session of tests, the same for all of its processes."""
    return factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()


def made_once(name: str, make: Callable[[Path], object], factory: pytest.TempPathFactory) -> Path:
    """A folder that `make` fills: once for the whole session, also where several processes run the tests."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make(folder := factory.mktemp(name))
        return folder
    folder = factory.getbasetemp().parent / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            draft = factory.getbasetemp().parent / f"draft-{name}"
            draft.mkdir()
            make(draft)
            draft.rename(folder)
    return folder


@pytest.fixture(scope="session")
def idle_cuda(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Callable[[], Any]]], list[Any]]:
    """Makes calls in a child process in which ONNX Runtime's CUDA provider runs on libraries that do nothing."""
    if problem := idle_libraries.missing():
        pytest.skip(problem)
    return partial(idle_libraries.run, made_once("idle_cuda", idle_libraries.build, tmp_path_factory))


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 synthetic cells in the reports' CSV layout: 24 train, 12 valid, 12 test. Not to be written to."""
    sizes = {"train": 24, "valid": 12, "test": 12}
    return made_once("data", lambda folder: make_set(folder / "cells", sizes), tmp_path_factory) / "cells"


@pytest.fixture(scope="session")
def run(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 trained on `cells` for two epochs at 32 px, and exported at opset 17. Not to be written to."""

    def train_and_export(folder: Path) -> None:
        small = ("--epochs", "2", "--batch-size", "8", "--image-size", "32")
        ran = run_lab("train", "resnet18", "--data", cells, *small, "--device", "cpu", "--out", folder)
        assert ran.code == 0, ran.err
        ran = run_lab("export", next(folder.iterdir()), "--opset", "17")
        assert ran.code == 0, ran.err

    return next(made_once("runs", train_and_export, tmp_path_factory).iterdir())


@pytest.fixture(scope="session")
def model(run: Path) -> Path:
    """The exported file of `run`. Not to be written to."""
    return run / "model.onnx"


@pytest.fixture
def save_image() -> Callable[..., Path]:
    """Write a random RGB image of a size, with a seed, in the format that the name asks for."""

    def save(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
        return path

    return save
