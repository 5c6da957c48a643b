"""A full or faulty disk, or missing rights, at any step of a command: nothing is lost, left behind or half-written.

Some of the steps of each command are tried here; `bench/faults.py` tries all.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.faults import Command, contents, hidden
from helpers.rewriters import HARMLESS, rewrite
from PIL import Image
from safetensors.numpy import load_file

import infer.pipeline.resume
import trainer.find_rate
from infer.model.evidence import read_evidence

Lab = Callable[..., Any]
TRIED = int(os.environ.get("LAB_FAULT_STEPS", "0"))
"""The most steps that are tried of each command, evenly spread; `bench/faults.py` sets it. 0: as each test says."""
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


def try_some(command: Command, most: int = 4) -> None:
    count, _ = command.undisturbed
    turns = TRIED or most
    numbers = sorted({turn * (count - 1) // (turns - 1) for turn in range(turns)})
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


def with_old_report(folder: Path) -> None:
    emptied(folder)
    for name in ("report.json", "confusion.png"):
        (folder / name).write_text("old")


def test_evaluate(lab: Lab, model: Path, cells: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "out"
    evaluate = lambda: lab("evaluate", cells, "--model", model, "--device", "cpu", "--out", out / "report")  # noqa: E731

    def prepare() -> None:
        emptied(out)
        with_old_report(out / "report")

    try_some(Command(evaluate, prepare, lambda: contents(out), (out, own_cache)), 3)


def test_compare(lab: Lab, run: Path, tmp_path: Path, own_cache: Path) -> None:
    out, reports = tmp_path / "out", tmp_path / "reports"
    shutil.copytree(run / "report", reports / "other.report")

    def prepare() -> None:
        emptied(out)
        for name in ("curves.png", "curves.svg", "confusions.svg"):
            (out / name).write_text("old")

    compare = lambda: lab("compare", run / "report", reports / "other.report", "--out", out)  # noqa: E731
    try_some(Command(compare, prepare, lambda: contents(out), (out, reports, own_cache)), 3)


def test_data_preview(lab: Lab, cells: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "out"

    def prepare() -> None:
        emptied(out)
        Image.new("RGB", (3, 3)).save(out / "0-0.png")

    def result() -> object:
        """The pictures, each of which is whole."""
        return {path.name: np.asarray(Image.open(path)).tobytes() for path in out.glob("*.png")}

    options = ("--image-size", "32", "--per-class", "1", "--draws", "1")
    preview = lambda: lab("data", "preview", cells, *options, "--out", out)  # noqa: E731
    try_some(Command(preview, prepare, result, (out, own_cache), resumes=True), 3)


def test_find_rate(lab: Lab, cells: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.find_rate, "STEPS", 6)
    out = tmp_path / "out"

    def prepare() -> None:
        emptied(own_cache)
        emptied(out)
        for name in ("rate.png", "rate.csv"):
            (out / name).write_text("learning_rate,loss\n")

    options = ("--data", cells, *SMALL[2:], "--out", out / "rate.png")
    find_rate = lambda: lab("find-rate", "resnet18", *options)  # noqa: E731
    try_some(Command(find_rate, prepare, lambda: contents(out), (out, own_cache)), 3)


def test_reproduce_a_prediction(
    lab: Lab, model: Path, cells: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, temporary = tmp_path / "out", emptied(tmp_path / "temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    first = tmp_path / "first" / "s.csv"
    chosen = ("--model", model, "--no-sample", "--probabilities", first.with_name("p.csv"), "--out", first)
    assert lab("predict", cells / "test", *chosen).code == 0

    def prepare() -> None:
        (emptied(out) / "again.csv").write_text("old")

    reproduce = lambda: lab("reproduce", first, "--out", out / "again.csv")  # noqa: E731
    try_some(Command(reproduce, prepare, lambda: contents(out), (out, temporary, own_cache)), 4)


def test_seal_a_changed_file_again(lab: Lab, run: Path, model: Path, tmp_path: Path, own_cache: Path) -> None:
    out = tmp_path / "out"
    change, _ = HARMLESS["annotated"]

    def prepare() -> None:
        rewrite(model, change, emptied(out) / "model.onnx")

    def result() -> object:
        """What the file is sealed for; a changed one has evidence that is not of its bytes."""
        evidence = read_evidence(out / "model.onnx")
        assert evidence
        return evidence.intact, evidence.content.get("resealed", {}).get("changes")

    verify = lambda: lab("verify", out / "model.onnx", "--run", run, "--reseal", "--device", "cpu")  # noqa: E731
    try_some(Command(verify, prepare, result, (out, own_cache)), 3)


@pytest.mark.parametrize("option", ["--web", "--triton"])
def test_export_a_folder_of_a_finished_file(
    lab: Lab, model: Path, tmp_path: Path, own_cache: Path, option: str
) -> None:
    out = tmp_path / "out"

    def export() -> Any:
        """A folder that is finished must be deleted first: it is not replaced."""
        shutil.rmtree(out / "folder", ignore_errors=True)
        return lab("export", model, option, out / "folder")

    try_some(Command(export, lambda: emptied(out) and None, lambda: contents(out), (out, own_cache)), 4)
