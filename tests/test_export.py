"""`lab export`: a file appears under its name only when it is what was asked for and answers as the network does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from test_graph import images, tiny, varied

import exporter.export
from exporter.config import ExportConfig
from exporter.export import at_precision
from infer.card import read_card
from infer.errors import ConfigError
from infer.onnx_file import read_header
from trainer.checkpoint import load_checkpoint
from trainer.resnet import BasicBlock, Bottleneck


@pytest.fixture
def fresh(run: Path, tmp_path: Path) -> Path:
    """The trained run without its exports."""
    return shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("model*", "report*"))


def test_the_file_has_the_opset_and_says_so_and_the_proof_lies_beside_it(model: Path) -> None:
    assert read_header(model).opsets == {"": 17}
    card = read_card(model)
    assert (card.opset, card.precision, card.architecture) == (17, "fp32", "resnet18")
    proof = json.loads((model.parent / "model.parity.json").read_text())
    assert proof["passed"] is True
    assert {check["batch"] for check in proof["checks"]} == {1, 2, 7, 12}
    assert max(check["logit_difference"] for check in proof["checks"]) < 1e-3


def test_the_card_keeps_what_the_checkpoint_tells(run: Path, model: Path) -> None:
    one, two = read_card(run / "best.safetensors"), read_card(model)
    assert (one.classes, one.pixels, one.normalization) == (two.classes, two.pixels, two.normalization)
    assert one.provenance["weights_sha256"] == two.provenance["weights_sha256"]


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

    def faulty(network: torch.nn.Module, card: object) -> onnx.ModelProto:
        with torch.no_grad():
            network.resnet.fc.weight.mul_(1.5)
        return real(network, card)

    monkeypatch.setattr(exporter.export, "build_graph", faulty)
    before = {path.name for path in fresh.iterdir()}
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "does not answer as the network did" in ran.err
    assert "FAILS" in ran.out
    assert {path.name for path in fresh.iterdir()} == before
    (fresh / "model.onnx").write_bytes(b"from before")
    (fresh / "model.parity.json").write_bytes(b"from before")
    assert lab("export", fresh).code == 1
    assert (fresh / "model.onnx").read_bytes() == (fresh / "model.parity.json").read_bytes() == b"from before"


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_batch_normalisation_is_folded_without_changing_an_answer(block: type) -> None:
    network = tiny(block)
    folded = at_precision(network, "fp32")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    pixels = torch.from_numpy(images(4))
    with torch.inference_mode():
        torch.testing.assert_close(folded(pixels)[0], network(pixels)[0], rtol=0, atol=1e-4)


def test_statistics_beyond_half_precision_survive_it(tmp_path: Path) -> None:
    network = varied()
    with torch.no_grad():
        network.resnet.conv1.weight *= 1000
        network.resnet.bn1.running_mean *= 1000
        network.resnet.bn1.running_var *= 1_000_000
    assert network.resnet.bn1.running_var.max() > 65_504
    pixels = torch.from_numpy(images(4))
    with torch.inference_mode():
        expected, got = network(pixels)[0], at_precision(network, "fp16")(pixels)[0]
    torch.testing.assert_close(got, expected, rtol=0, atol=0.02)


def test_changing_the_copy_to_export_does_not_change_the_reference(run: Path) -> None:
    network, _ = load_checkpoint(run / "best.safetensors")
    at_precision(network, "fp16").resnet.fc.weight.data.zero_()
    assert network.resnet.fc.weight.abs().sum() > 0
    assert network.resnet.fc.weight.dtype == torch.float32


def test_an_opset_that_is_not_possible_is_one_line_with_the_range(lab: Callable, fresh: Path) -> None:
    ran = lab("export", fresh, "--opset", "16")
    assert ran.code == 1
    assert "--opset 16 is not possible here" in ran.err
    assert not (fresh / "model.onnx").exists()


def test_images_that_have_moved_are_asked_for_and_found_where_they_are_said_to_be(
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


def test_a_batch_size_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="--batch-size"):
        ExportConfig(batch_size=0)


def test_an_out_that_is_no_onnx_file_is_refused_so_that_nothing_of_the_run_is_overwritten() -> None:
    with pytest.raises(ConfigError, match=r"must end in \.onnx"):
        ExportConfig(out=Path("runs/x/data.csv"))


def test_a_gate_on_a_gpu_that_is_not_there_is_refused_before_any_work(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.export, "find_problem", lambda: "no NVIDIA driver is installed")
    ran = lab("export", fresh, "--device", "cuda")
    assert ran.code == 1
    assert ran.err == "error: --device cuda: no NVIDIA driver is installed; or choose --device cpu\n"
