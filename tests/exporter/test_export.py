"""`lab export`: a file gets its name only when it is what was requested and its outputs are the network's."""

import errno
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import images
from helpers.providers import pretend_cuda

import exporter.export
from exporter.graph import weights_sha256
from infer.core.exclusive import exclusive
from infer.metrics.point_values import softmax
from infer.model.card import ModelCard, read_card
from infer.model.evidence import EVIDENCE_KEY, read_evidence
from infer.model.onnx_reader import read_header
from infer.model.openvino_session import OpenVinoEngine
from infer.model.session import Session
from trainer.model.checkpoint import load_checkpoint, save_checkpoint
from trainer.model.network import PixelNet


def test_the_file_declares_its_opset_and_the_gates_result_is_written_beside_it(model: Path) -> None:
    assert read_header(model).opsets == {"": 17}
    card = read_card(model)
    assert (card.opset, card.precision, card.architecture) == (17, "fp32", "resnet18")
    proof = json.loads((model.parent / "model.parity.json").read_text())
    assert proof["passed"] is True
    assert {check["batch"] for check in proof["checks"]} == {1, 2, 7, 12}
    assert max(check["logit_difference"] for check in proof["checks"]) < 1e-3


def test_the_card_keeps_the_values_of_the_checkpoints(run: Path, model: Path) -> None:
    checkpoint, exported = read_card(run / "best.safetensors"), read_card(model)
    assert (checkpoint.classes, checkpoint.pixels) == (exported.classes, exported.pixels)
    assert checkpoint.normalization == exported.normalization
    assert checkpoint.provenance["weights_sha256"] == exported.provenance["weights_sha256"]


def test_another_precision_is_a_file_beside_the_first(lab: Callable, fresh: Path) -> None:
    assert lab("export", fresh, "--opset", "18").code == 0
    ran = lab("export", fresh, "--precision", "fp16", "--opset", "18")
    assert ran.code == 0, ran.err
    half, full = (fresh / name for name in ("model.fp16.onnx", "model.onnx"))
    assert half.stat().st_size < 0.6 * full.stat().st_size
    assert (fresh / "model.fp16.parity.json").is_file()


def test_over_tolerance_no_file_is_left_and_an_existing_one_is_untouched(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporter.export.build_graph

    def faulty(network: torch.nn.Module, card: object, batch: int | None) -> onnx.ModelProto:
        with torch.no_grad():
            network.resnet.fc.weight.mul_(1.5)
        return real(network, card, batch)

    monkeypatch.setattr(exporter.export, "build_graph", faulty)
    before = {path.name for path in fresh.iterdir()}
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "outputs differ from the network's" in ran.err
    assert "FAILS" in ran.out
    assert {path.name for path in fresh.iterdir()} == before
    (fresh / "model.onnx").write_bytes(b"from before")
    (fresh / "model.parity.json").write_bytes(b"from before")
    assert lab("export", fresh).code == 1
    assert (fresh / "model.onnx").read_bytes() == (fresh / "model.parity.json").read_bytes() == b"from before"


def test_an_opset_that_is_not_possible_is_one_line_with_the_range(lab: Callable, fresh: Path) -> None:
    ran = lab("export", fresh, "--opset", "16")
    assert ran.code == 2
    assert "--opset 16 is not possible here" in ran.err
    assert not (fresh / "model.onnx").exists()


def test_images_that_have_moved_are_found_with_data_and_missing_without(
    lab: Callable, fresh: Path, cells: Path, tmp_path: Path
) -> None:
    recipe = fresh / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(cells), str(tmp_path / "gone")))
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "--data" in ran.err
    assert lab("export", fresh, "--data", cells).code == 0


def test_a_checkpoint_without_a_card_is_refused(lab: Callable, fresh: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file(load_file(fresh / "best.safetensors"), fresh / "best.safetensors")
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "has no card" in ran.err


def test_no_run_at_all_names_the_command_that_makes_one(
    lab: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = lab("export")
    assert ran.code == 1
    assert "lab train" in ran.err


def test_a_gate_on_a_gpu_that_is_missing_is_refused_before_any_work(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    ran = lab("export", fresh, "--device", "cuda")
    assert ran.code == 1
    assert ran.err == "error: --device cuda: no NVIDIA driver is installed; or choose --device cpu\n"


def bytes_before_evidence(path: Path) -> bytes:
    return path.read_bytes()[: read_header(path).starts[EVIDENCE_KEY]]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_graph_weights_and_card_are_the_same_bytes_for_the_same_checkpoint_and_options(
    lab: Callable, run: Path, tmp_path: Path, precision: str, request: pytest.FixtureRequest
) -> None:
    for name in ("one", "two"):
        if name == "two":
            request.getfixturevalue("exported_anew")
        ran = lab("export", run, "--precision", precision, "--calibrate", "--out", tmp_path / f"{name}.onnx")
        assert ran.code == 0, ran.err
    assert bytes_before_evidence(tmp_path / "one.onnx") == bytes_before_evidence(tmp_path / "two.onnx")


def test_the_evidence_has_the_gates_result_and_its_pixels(model: Path, cells: Path) -> None:
    evidence = read_evidence(model)
    assert evidence is not None
    assert evidence.intact
    found = evidence.content
    beside = json.loads((model.parent / "model.parity.json").read_text())
    of_the_file = {name: found[name] for name in ("sha256_before", "graph")}
    assert {**beside, **of_the_file} == {**found, "flipped": {}}
    check = found["checks"][-1]
    assert check["images"] == found["images"] == 12
    assert 0 <= check["logit_p999"] <= check["logit_difference"] <= check["tolerance"]
    assert check["accuracy"] == check["network_accuracy"]
    low, high = check["accuracy_difference"]
    assert low < 0 < high
    assert found["graph_weights_sha256"] == weights_sha256(onnx.load(model))
    assert str(cells).encode() not in model.read_bytes()
    assert str(Path.home()).encode() not in model.read_bytes()


def test_all_validation_images_are_used_unless_fewer_are_requested(lab: Callable, fresh: Path, tmp_path: Path) -> None:
    ran = lab("export", fresh, "--gate-images", "5", "--out", tmp_path / "a.onnx")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "a.parity.json").read_text())["images"] == 5


def test_int8_is_a_file_beside_the_others_whose_card_records_its_calibration(lab: Callable, fresh: Path) -> None:
    ran = lab("export", fresh, "--precision", "int8")
    assert ran.code == 0, ran.err
    card = read_card(fresh / "model.int8.onnx")
    assert card.precision == "int8"
    assert card.provenance["int8"]["calibrated_on"] == 20  # of 24 training images every fifth is held out
    assert card.provenance["int8"]["in_float"][-1] == "fc"
    assert (fresh / "model.int8.onnx").stat().st_size < 0.3 * 44_000_000
    ran = lab("export", fresh, "--precision", "int8", "--calibration-images", "10")
    assert ran.code == 1
    assert "needs 16; 10 of 10 can be read" in ran.err


def test_int8_on_cuda_is_refused_with_the_reason(lab: Callable, fresh: Path, cells: Path, tmp_path: Path) -> None:
    message = "--device cuda: int8 is for CPUs: ONNX Runtime has no int8 convolution on CUDA"
    ran = lab("export", fresh, "--precision", "int8", "--device", "cuda")
    assert (ran.code, message in ran.err) == (1, True)
    assert lab("export", fresh, "--precision", "int8").code == 0
    ran = lab("predict", cells / "test", "--model", fresh / "model.int8.onnx", "--device", "cuda")
    assert (ran.code, message in ran.err) == (1, True)


def test_calibration_images_without_int8_are_refused(lab: Callable, fresh: Path) -> None:
    ran = lab("export", fresh, "--calibration-images", "100")
    assert ran.code == 2
    assert "--precision int8" in ran.err


def test_a_temperature_goes_into_the_graph_and_the_card_while_logits_stay(
    lab: Callable, fresh: Path, model: Path, cells: Path, tmp_path: Path
) -> None:
    ran = lab("export", fresh, "--calibrate", "--out", tmp_path / "a.onnx")
    assert ran.code == 0, ran.err
    card, plain = read_card(tmp_path / "a.onnx"), read_card(model)
    assert card.temperature != 1 == plain.temperature
    assert f"temperature {card.temperature:g}: calibration error" in ran.out
    pixels = images(5)
    (logits, probabilities), (same, _) = (Session(path, "cpu").run(pixels) for path in (tmp_path / "a.onnx", model))
    assert logits.tobytes() == same.tobytes()
    np.testing.assert_allclose(probabilities, softmax(logits / card.temperature), atol=1e-6)
    ran = lab("evaluate", cells, "--split", "valid", "--model", tmp_path / "a.onnx", "--out", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    fit = card.provenance["temperature_fit"]
    assert report["calibration_error"]["value"] == pytest.approx(fit["error_after"], abs=1e-5)
    assert report["uncalibrated_error"] == pytest.approx(fit["error_before"], abs=1e-5)
    assert "without the model's temperature" in ran.out


def test_a_file_for_one_batch_size_says_so_and_predicts_any_number_of_images(
    lab: Callable, fresh: Path, model: Path, cells: Path, tmp_path: Path
) -> None:
    ran = lab("export", fresh, "--batch", "5", "--out", tmp_path / "five.onnx")
    assert ran.code == 0, ran.err
    assert "images uint8 [5, 32, 32, 3]" in lab("inspect", tmp_path / "five.onnx").out
    for name, file in (("one", tmp_path / "five.onnx"), ("two", model)):
        assert (
            lab("predict", cells / "test", "--no-sample", "--model", file, "--out", tmp_path / f"{name}.csv").code == 0
        )
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_values_that_half_precision_cannot_hold_are_refused_with_the_layer(lab: Callable, fresh: Path) -> None:
    """On a CPU such a file would seem right: ONNX Runtime computes fp16 in float32 there."""
    network, card = load_checkpoint(fresh / "best.safetensors")
    with torch.no_grad():
        block = network.resnet.layer3[0]
        block.bn1.weight *= 1e7
        block.bn1.bias *= 1e7
        block.conv2.weight /= 1e7
    save_checkpoint(network, card, fresh / "best.safetensors")
    assert lab("export", fresh).code == 0
    ran = lab("export", fresh, "--precision", "fp16")
    assert ran.code == 1
    assert "fp16 cannot hold what this network computes" in ran.err
    assert "layer3.0.conv1 reaches" in ran.err
    assert not (fresh / "model.fp16.onnx").exists()


def test_a_checkpoint_whose_card_belongs_to_other_weights_is_refused(lab: Callable, fresh: Path) -> None:
    content = bytearray((fresh / "best.safetensors").read_bytes())
    content[-5] ^= 1
    (fresh / "best.safetensors").write_bytes(content)
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "belongs to other weights than the file contains" in ran.err
    assert not (fresh / "model.onnx").exists()


def test_labels_that_differ_are_shown_with_the_image_and_the_margin(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, card = load_checkpoint(fresh / "best.safetensors")
    with torch.no_grad():  # two classes that are almost equal everywhere
        network.resnet.fc.weight.zero_()
        network.resnet.fc.bias.copy_(torch.tensor([0.0, 1e-7]))
    save_checkpoint(network, card, fresh / "best.safetensors")
    real = exporter.export.build_graph

    def nudged(network: PixelNet, card: ModelCard, batch: int | None) -> onnx.ModelProto:
        with torch.no_grad():
            network.resnet.fc.bias.copy_(torch.tensor([1e-6, 0.0]))
        return real(network, card, batch)

    monkeypatch.setattr(exporter.export, "build_graph", nudged)
    ran = lab("export", fresh)
    assert ran.code == 0, ran.err
    assert ran.out.count("differs: ") > 1
    assert "by a margin of" in ran.out
    proof = json.loads((fresh / "model.parity.json").read_text())
    assert len(proof["flipped"]) == proof["checks"][-1]["labels_differ"] > 1


def test_a_temperature_is_not_fitted_to_only_some_validation_images(lab: Callable, fresh: Path) -> None:
    ran = lab("export", fresh, "--calibrate", "--gate-images", "5")
    assert ran.code == 2
    assert "fits to all validation images" in ran.err


def test_a_full_disk_is_reported_for_the_model_rather_than_for_its_result(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if self.suffix == ".onnx":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("infer.core.drafts._open_unnamed", lambda folder: None)  # so that the draft has a suffix
    ran = lab("export", fresh)
    assert ran.code == 1
    assert f"the disk is full and {fresh / 'model.onnx'} was not written" in ran.err


@pytest.mark.usefixtures("openvino")
def test_the_gate_runs_on_every_installed_runtime_and_one_that_fails_is_left_out(
    lab: Callable, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("export", run, "--gate-images", "5", "--cam", "--out", tmp_path / "a.onnx")
    ran = lab(*command)
    assert ran.code == 0, ran.err
    proof = json.loads((tmp_path / "a.parity.json").read_text())
    found = {(check["provider"], check["runtime"], check["runtime_precision"]) for check in proof["checks"]}
    assert {("CPUExecutionProvider", "onnxruntime", "f32"), ("OpenVINO", "openvino", "f32")} <= found
    assert proof["openvino"] == version("openvino")
    ran = lab(*command, "--runtime", "onnxruntime")
    assert ran.code == 0, ran.err
    assert "openvino" not in (tmp_path / "a.parity.json").read_text()
    engine_run = OpenVinoEngine.run
    monkeypatch.setattr(OpenVinoEngine, "run", lambda self, *given: [1.01 * item for item in engine_run(self, *given)])
    ran = lab(*command)
    assert ran.code == 0, ran.err
    assert "OpenVINO is left out of the evidence" in ran.out
    assert "OpenVINO" not in (tmp_path / "a.parity.json").read_text()
    ran = lab(*command, "--runtime", "openvino")
    assert ran.code == 1
    assert "no file was left" in ran.err


def test_a_file_that_another_process_exports_is_refused_before_any_work(lab: Callable, fresh: Path) -> None:
    with exclusive(fresh / "model.onnx"):
        ran = lab("export", fresh)
        assert ran.code == 1
        assert f"is writing {fresh / 'model.onnx'}; wait for it, or give another --out" in ran.err
        assert "threshold" not in ran.out
        assert lab("export", fresh, "--precision", "fp16").code == 0
    assert not (fresh / "model.onnx").exists()
