"""A finished file is proven again, against its run; what has been tampered with is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from infer.card import CARD_KEY, ModelCard
from infer.evidence import EVIDENCE_KEY


@pytest.fixture
def copied(run: Path, model: Path, tmp_path: Path) -> Path:
    """The run with its model, free to be written to."""
    return shutil.copytree(run, tmp_path / "run")


def without_evidence(path: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    """Change a file, as someone would who removes the evidence with it."""
    changed = onnx.load(path)
    kept = {item.key: item.value for item in changed.metadata_props if item.key != EVIDENCE_KEY}
    del changed.metadata_props[:]
    onnx.helper.set_model_props(changed, kept)
    change(changed)
    onnx.save(changed, path)


def test_a_good_file_passes_against_the_run_in_which_it_lies(lab: Callable, copied: Path) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 0, ran.err
    assert "evidence: passed on 12 images (CPU), labels that differ: 0; not a byte has changed since" in ran.out
    assert "the same pixels as at the export" in ran.out
    assert "the file answers as the network did" in ran.out
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_a_file_elsewhere_is_verified_with_its_run_named_and_its_images_moved(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path
) -> None:
    (tmp_path / "service").mkdir()
    file = shutil.move(copied / "model.onnx", tmp_path / "service" / "cells.onnx")
    ran = lab("verify", file)
    assert (ran.code, "--run" in ran.err, "--data" in ran.err) == (2, True, True)
    moved = shutil.copytree(cells, tmp_path / "moved")
    recipe = copied / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(cells), str(tmp_path / "gone")))
    assert lab("verify", file, "--run", copied).code == 1
    ran = lab("verify", file, "--run", copied, "--data", moved)
    assert ran.code == 0, ran.err


def test_a_changed_byte_is_told_before_anything_is_run(lab: Callable, copied: Path) -> None:
    file = copied / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    ran = lab("verify", file)
    assert ran.code == 1
    assert "has been changed since it was proven" in ran.err
    assert "CHANGED" in lab("inspect", file).out


def test_changed_weights_without_evidence_are_found_by_the_gate(lab: Callable, copied: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        head = next(item for item in model.graph.initializer if item.name == "resnet.fc.bias")
        head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) + np.float32([0.1, 0]), head.name))

    without_evidence(copied / "model.onnx", change)
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 1
    assert "carries none" in ran.out
    assert "does not answer as the network did" in ran.err


def test_a_card_that_tells_other_pixels_than_the_checkpoint_is_refused(lab: Callable, copied: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        (prop,) = [item for item in model.metadata_props if item.key == CARD_KEY]
        prop.value = prop.value.replace('"resize_shorter"', '"resize_longer"')
        ModelCard.from_json(prop.value, Path("x"))

    without_evidence(copied / "model.onnx", change)
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 1
    assert "tells another pixels than" in ran.err


def test_a_file_of_another_run_is_refused(lab: Callable, copied: Path, cells: Path, tmp_path: Path) -> None:
    small = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--seed", "1", "--device", "cpu")
    assert lab("train", "resnet18", "--data", cells, *small, "--out", tmp_path / "runs").code == 0
    other = next((tmp_path / "runs").iterdir())
    ran = lab("verify", copied / "model.onnx", "--run", other)
    assert ran.code == 1
    assert "was made from other weights" in ran.err


def test_images_that_are_no_longer_those_of_the_export_are_told(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    moved = shutil.copytree(cells, tmp_path / "moved")
    first = next(line.split(",")[0] for line in (cells / "valid.csv").read_text().splitlines()[1:])
    save_image(next(path for path in moved.rglob("*") if path.name == Path(first).name), 450, 450)
    ran = lab("verify", copied / "model.onnx", "--run", copied, "--data", moved)
    assert "NOT the pixels of the export" in ran.out
    assert lab("verify", copied / "model.onnx", "--gate-images", "3").code == 0


def test_a_missing_file_is_one_line(lab: Callable, tmp_path: Path) -> None:
    ran = lab("verify", tmp_path / "none.onnx")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
