"""A finished file is proven again, against its run; what has been tampered with is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_files import name_in_evidence, without_evidence
from onnx import numpy_helper

from infer.model.card import CARD_KEY, ModelCard
from infer.model.evidence import read_evidence
from infer.model.openvino_session import OpenVinoEngine
from infer.model.providers import OPENVINO


@pytest.fixture
def copied(run: Path, model: Path, tmp_path: Path) -> Path:
    """The run with its model, free to be written to."""
    return shutil.copytree(run, tmp_path / "run")


def test_a_good_file_passes_against_the_run_in_which_it_lies(lab: Callable, copied: Path) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 0, ran.err
    assert "evidence: passed on 12 images (CPU), labels that differ: 0; not a byte has changed since" in ran.out
    assert "the same pixels as at the export" in ran.out
    assert "verified: the outputs of the file agree with the network's" in ran.out
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_a_file_elsewhere_is_verified_by_its_run_with_its_images_moved(
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


def test_a_changed_byte_is_reported_before_anything_is_run(lab: Callable, copied: Path) -> None:
    file = copied / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    ran = lab("verify", file)
    assert ran.code == 1
    assert "has been changed since lab export wrote it" in ran.err
    assert "CHANGED" in lab("inspect", file).out


def test_changed_weights_without_evidence_are_found_by_the_gate(lab: Callable, copied: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        head = next(item for item in model.graph.initializer if item.name == "resnet.fc.bias")
        head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) + np.float32([0.1, 0]), head.name))

    without_evidence(copied / "model.onnx", change)
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 1
    assert "evidence: none in" in ran.out
    assert "outputs differ from the network's" in ran.err


def test_a_card_with_other_pixels_than_the_checkpoint_is_refused(lab: Callable, copied: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        (prop,) = [item for item in model.metadata_props if item.key == CARD_KEY]
        prop.value = prop.value.replace('"resize_shorter"', '"resize_longer"')
        ModelCard.from_json(prop.value, Path("x"))

    without_evidence(copied / "model.onnx", change)
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 1
    assert "has other pixels than that of" in ran.err


def test_a_file_of_another_run_is_refused(lab: Callable, copied: Path, cells: Path, tmp_path: Path) -> None:
    small = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--seed", "1", "--device", "cpu")
    assert lab("train", "resnet18", "--data", cells, *small, "--out", tmp_path / "runs").code == 0
    other = next((tmp_path / "runs").iterdir())
    ran = lab("verify", copied / "model.onnx", "--run", other)
    assert ran.code == 1
    assert "was made from other weights" in ran.err


def test_images_that_are_no_longer_those_of_the_export_are_reported(
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


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"precision": "fp32"', '"precision": "int8"', "int8 was requested, the convolutions' weights are FLOAT"),
        ('"opset": 17', '"opset": 21', "opset 21 was requested, the file has"),
        ('"precision": "fp32"', '"precision": "int4"', "precision must be one of fp32, fp16, int8"),
        ('"precision": "fp32"', '"precision": null', "precision must be one of fp32, fp16, int8"),
        ('"versions": {', '"versions": 3, "others": {', "must be JSON objects"),
    ],
)
def test_a_card_that_does_not_fit_the_graph_is_refused(
    lab: Callable, copied: Path, before: str, after: str, message: str
) -> None:
    def change(model: onnx.ModelProto) -> None:
        (prop,) = [item for item in model.metadata_props if item.key == CARD_KEY]
        assert before in prop.value
        prop.value = prop.value.replace(before, after)

    without_evidence(copied / "model.onnx", change)
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 1
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_another_number_of_images_is_not_reported_as_other_pixels(lab: Callable, copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "five.onnx"
    assert lab("export", copied, "--gate-images", "5", "--out", out).code == 0
    assert "12, at the export 5, so their pixels cannot be compared" in lab("verify", out, "--run", copied).out
    ran = lab("verify", out, "--run", copied, "--gate-images", "5")
    assert "the same pixels as at the export" in ran.out


def test_unreadable_images_are_reported_and_too_many_of_them_refused(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(cells, tmp_path / "moved")
    names = [line.split(",")[0] for line in (cells / "valid.csv").read_text().splitlines()[1:]]
    for name in names[:5]:
        (moved / name).write_bytes(b"no image")
    out = ("--data", moved, "--out", tmp_path / "a.onnx")
    ran = lab("export", copied, *out)
    assert ran.code == 0, ran.err
    assert "5 of the gate's images cannot be read and are left out" in ran.out
    evidence = read_evidence(tmp_path / "a.onnx")
    assert evidence is not None
    assert (evidence.content["images"], evidence.content["unreadable"]) == (7, 5)
    (moved / names[5]).write_bytes(b"no image")
    ran = lab("export", copied, *out)
    assert ran.code == 1
    assert "6 of 12 images for the gate cannot be read" in ran.err


def test_a_run_whose_table_has_no_validation_rows_is_refused_with_the_reason(lab: Callable, copied: Path) -> None:
    table = copied / "data.csv"
    table.write_text(table.read_text().replace(",valid", ",train"))
    ran = lab("verify", copied / "model.onnx")
    assert ran.code == 1
    assert "has no validation images for the gate" in ran.err


def providers_in(file: Path) -> list[str]:
    evidence = read_evidence(file)
    assert evidence is not None
    assert evidence.intact
    return list(evidence.providers)


@pytest.mark.usefixtures("openvino")
def test_a_runtime_that_is_named_is_added_to_the_evidence_and_then_predicts(
    lab: Callable, copied: Path, cells: Path, tmp_path: Path
) -> None:
    file = copied / "model.onnx"
    before = file.read_bytes()
    ran = lab("verify", file)
    assert ran.code == 0, ran.err
    assert f"OpenVINO passed and is not in the evidence; add it with lab verify {file} --runtime openvino" in ran.out
    assert file.read_bytes() == before
    predict = ("predict", cells / "test", "--no-sample", "--model", file, "--runtime", "openvino", "--out")
    ran = lab(*predict, tmp_path / "a.csv")
    assert ran.code == 1
    assert f"`lab verify {file} --runtime openvino` adds it" in ran.err
    ran = lab("verify", file, "--runtime", "openvino", "--gate-images", "5")
    assert ran.code == 0, ran.err
    assert f"evidence: OpenVINO added to {file}" in ran.out
    assert providers_in(file) == ["CPUExecutionProvider", "OpenVINO"]
    added = read_evidence(file).content["checks"][-1]  # type: ignore[union-attr]
    assert (added["runtime"], added["runtime_precision"], added["images"]) == ("openvino", "f32", 5)
    assert {"openvino", "machine", "when", "gate_images_sha256"} <= added.keys()
    ran = lab(*predict, tmp_path / "a.csv")
    assert ran.code == 0, ran.err
    assert "device: OpenVINO" in ran.out
    again = file.read_bytes()
    assert lab("verify", file, "--runtime", "openvino", "--gate-images", "5").code == 0
    assert file.read_bytes() == again
    assert "OpenVINO batch" in lab("inspect", file).out


@pytest.mark.usefixtures("openvino")
def test_a_runtime_in_the_evidence_that_no_longer_passes_ends_verify_with_an_error(
    lab: Callable, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, run = copied / "model.onnx", OpenVinoEngine.run
    monkeypatch.setattr(OpenVinoEngine, "run", lambda self, *given: [1.01 * item for item in run(self, *given)])
    ran = lab("verify", file, "--gate-images", "5")
    assert ran.code == 0, ran.err
    assert "OpenVINO is left out" in ran.out
    ran = lab("verify", file, "--gate-images", "5", "--runtime", "openvino")
    assert ran.code == 1
    assert providers_in(file) == ["CPUExecutionProvider"]
    name_in_evidence(file, OPENVINO)
    ran = lab("verify", file, "--gate-images", "5")
    assert ran.code == 1
    assert "OpenVINO, batch" in ran.err
