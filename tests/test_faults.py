"""A full or faulty disk, or missing rights, at any step of a command: nothing is lost, left behind or half-written.

Some of the steps of each command are tried here; `bench/faults.py` tries all.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.faults import Command, contents, hidden
from safetensors.numpy import load_file

import infer.pipeline.resume
from infer.model.evidence import read_evidence

Lab = Callable[..., Any]
TRIED = int(os.environ.get("LAB_FAULT_STEPS", "6"))
"""The most steps that are tried of each command, evenly spread; `bench/faults.py` sets it."""
SMALL = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--device", "cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def try_some(command: Command) -> None:
    count, _ = command.undisturbed
    numbers = sorted({turn * (count - 1) // (TRIED - 1) for turn in range(TRIED)})
    problems = []
    for tried, number in enumerate(numbers, 1):
        try:
            command.fail_at(number)
        except AssertionError as error:
            problems.append(str(error))
        if tried % 50 == 0 or tried == len(numbers):
            print(f"{tried} of {count} steps failed in turn: {len(problems)} problems")  # noqa: T201  # for bench/faults.py
    assert problems == []


def test_predict_with_its_report(
    lab: Lab, model: Path, cells: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.pipeline.resume, "INTERVAL", 0.0)
    out = tmp_path / "out"
    options = ("--model", model, "-b", "4", "--truth", cells / "test_labels.csv", "--no-pictures", "--no-sample")
    outputs = ("--out", out / "s.csv", "--probabilities", out / "p.parquet")

    def prepare() -> None:
        emptied(out)
        (out / "s.csv").write_text("old")
        (out / "s.bad.csv").write_text("old")
        (out / "s.report").mkdir()
        (out / "s.report" / "report.json").write_text("old")
        (out / "s.report" / "confusion.png").write_text("old")

    run = lambda: lab("predict", cells / "test", *options, *outputs)  # noqa: E731
    try_some(Command(run, prepare, lambda: contents(out), (out, own_cache)))


def test_data_split(lab: Lab, cells: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "out"

    def prepare() -> None:
        emptied(out)
        for name in ("train.csv", "valid.csv", "test.csv", "classes.csv"):
            (out / name).write_text("Path,label\nold.png,0\n")

    run = lambda: lab("data", "split", cells, "--out", out, "--force", "--valid", "0.3")  # noqa: E731
    try_some(Command(run, prepare, lambda: contents(out), (out, own_cache)))


def test_data_check(lab: Lab, cells: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "out"

    def prepare() -> None:
        (emptied(out) / "data-check.json").write_text("old")

    run = lambda: lab("data", "check", cells, "--out", out)  # noqa: E731
    try_some(Command(run, prepare, lambda: contents(out), (out, own_cache)))


def test_export(lab: Lab, run: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "out"

    def prepare() -> None:
        (emptied(out) / "model.onnx").write_text("old")

    def result() -> object:
        """All but the time of the export."""
        path = out / "model.onnx"
        evidence = read_evidence(path) if path.stat().st_size > 3 else None
        return (evidence.content["sha256_before"], evidence.intact) if evidence else contents(out)

    export = lambda: lab("export", run, "--opset", "17", "--device", "cpu", "--out", out / "model.onnx")  # noqa: E731
    try_some(Command(export, prepare, result, (out, own_cache)))


def test_train_one_epoch(lab: Lab, cells: Path, tmp_path: Path, own_cache: Path) -> None:
    runs = tmp_path / "runs"

    def prepare() -> None:
        emptied(runs)
        emptied(own_cache)

    def result() -> object:
        """The weights of the newest finished run, if there is one."""
        finished = sorted(runs.glob("*/best.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        tensors = load_file(finished[-1]) if finished else {}
        return {name: tensor.tobytes() for name, tensor in tensors.items()}

    train = lambda: lab("train", "resnet18", "--data", cells, *SMALL, "--out", runs)  # noqa: E731
    command = Command(
        train, prepare, lambda: result() if any(runs.iterdir()) else None, (runs, own_cache), resumes=True
    )
    try_some(command)
    assert hidden((runs, own_cache)) == []
