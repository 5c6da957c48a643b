"""What can be verified with a file alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.onnx_files import without_evidence
from helpers.rewriters import convert_version, rewrite

from infer.metrics.intervals import wilson
from infer.model.evidence import attach_evidence, read_evidence


@pytest.fixture
def alone(model: Path, tmp_path: Path) -> Path:
    """The exported file, with nothing of its run beside it."""
    return Path(shutil.copy(model, tmp_path / "cells.onnx"))


def test_the_accuracy_on_the_gates_own_images_is_found_again(lab: Callable, alone: Path, cells: Path) -> None:
    ran = lab("verify", alone, "--data", cells)
    assert ran.code == 0, ran.err
    evidence = read_evidence(alone)
    assert evidence is not None
    accuracy = evidence.content["checks"][-1]["accuracy"]
    low, high = wilson(round(accuracy * 12), 12)
    assert f"accuracy: {accuracy:.2%} of 12 images (95%: {low:.1%} to {high:.1%})" in ran.out
    assert "data: valid split of cells, 12 images" in ran.out
    assert f"at the export: {accuracy:.2%}, on the same pixels" in ran.out


def test_on_other_images_there_is_no_verdict(lab: Callable, alone: Path, cells: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(cells / "test", other / "images")
    rows = (cells / "test_labels.csv").read_text().splitlines()[1:]
    for row in rows:
        name, label = row.split(",")
        found = next((other / "images").rglob(Path(name).name + "*"))
        (other / label).mkdir(exist_ok=True)
        shutil.move(found, other / label / found.name)
    shutil.rmtree(other / "images")
    ran = lab("verify", alone, "--data", other)
    assert ran.code == 0, ran.err
    assert "so no verdict" in ran.out
    assert "data: train split of other, 12 images" in ran.out
    assert "note: these may be the images that the network was trained on" in ran.out


def test_a_file_that_is_less_accurate_than_it_was_on_the_same_pixels_fails(
    lab: Callable, alone: Path, cells: Path
) -> None:
    evidence = read_evidence(alone)
    assert evidence is not None
    content = dict(evidence.content)
    accuracy = content["checks"][-1]["accuracy"]
    for check in content["checks"]:
        check["accuracy"] = accuracy - 0.5 if accuracy > 0.5 else accuracy + 0.5
    del content["sha256_before"]
    without_evidence(alone, lambda model: None)
    attach_evidence(alone, content)
    ran = lab("verify", alone, "--data", cells)
    assert ran.code == 1
    assert "differs from that at its export, on the same pixels" in ran.err


def test_a_changed_file_is_refused(lab: Callable, alone: Path, cells: Path) -> None:
    content = bytearray(alone.read_bytes())
    content[len(content) // 2] ^= 1
    alone.write_bytes(content)
    ran = lab("verify", alone, "--data", cells)
    assert ran.code == 1
    assert "has been changed since lab export wrote it" in ran.err


def test_without_a_run_a_rewritten_file_is_refused_with_what_was_changed(
    lab: Callable, alone: Path, cells: Path
) -> None:
    ran = lab("verify", rewrite(alone, convert_version, alone), "--data", cells)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "opset 17 -> 21" in ran.err
    assert "--run" in ran.err


def test_a_file_without_evidence_is_measured_and_not_called_verified(lab: Callable, alone: Path, cells: Path) -> None:
    without_evidence(alone, lambda model: None)
    ran = lab("verify", alone, "--data", cells)
    assert ran.code == 1
    assert "accuracy: " in ran.out
    assert "nothing is verified" in ran.err
