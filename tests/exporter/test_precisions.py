"""A row added to both tables of precisions is all that a new precision needs."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from exporter.config import ExportConfig
from exporter.export import export
from exporter.parity import Rule
from exporter.precisions import EXPORTS, PrecisionExport
from infer.core.console import Screen
from infer.model.card import read_card
from infer.model.precision import PRECISIONS, Precision
from infer.model.runs import find_model
from trainer.model.network import PixelNet

RULE = Rule(logits=3e-2, labels=0.1)


def round_weights(network: PixelNet) -> None:
    """Weights with the 8 bits of bfloat16, in float32."""
    for parameter in network.backbone.parameters():
        parameter.data.copy_(parameter.data.bfloat16().float())


def record(
    model: onnx.ModelProto, pixels: object, say: Callable[[str], None]
) -> tuple[onnx.ModelProto, dict[str, int]]:
    say("converted")
    return model, {"images": len(pixels)}  # type: ignore[arg-type]


@pytest.fixture
def config(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> ExportConfig:
    """An export in the precision bf16, which the tables have for the test."""
    monkeypatch.setitem(PRECISIONS, "bf16", Precision(file_name="model.bf16.onnx"))
    row = PrecisionExport(rule=RULE, weights=onnx.TensorProto.FLOAT, convert_network=round_weights)
    monkeypatch.setitem(EXPORTS, "bf16", row)
    config = ExportConfig(run=fresh)
    object.__setattr__(config, "precision", "bf16")  # its values were fixed when the module was loaded
    return config


def test_a_new_precision_is_exported_found_verified_predicted_and_inspected(
    config: ExportConfig, lab: Callable, cells: Path, tmp_path: Path, quiet: Screen
) -> None:
    model, parity = export(config, quiet)
    assert model.name == "model.bf16.onnx"
    assert find_model(model.parent) == model
    assert read_card(model).precision == "bf16"
    largest = max(check.logit_difference or 0 for check in parity.checks)
    tolerance = parity.checks[-1].tolerance
    assert tolerance is not None
    assert tolerance / 1000 < largest <= tolerance  # the weights were rounded, and the rule is the row's
    assert json.loads(model.with_suffix(".parity.json").read_text())["rule"] == RULE.to_json()
    ran = lab("verify", model)
    assert ran.code == 0, ran.err
    assert "allowed for bf16" in ran.out
    ran = lab("predict", cells / "test", "--model", model.parent, "--no-sample", "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    assert "resnet18 bf16" in ran.out
    assert "bf16" in lab("inspect", model).out


def test_a_conversion_of_the_graph_is_given_training_images_and_leaves_its_record_in_the_card(
    config: ExportConfig, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRECISIONS, "bf16", Precision(file_name="model.bf16.onnx", calibrated=True))
    row = PrecisionExport(rule=RULE, weights=onnx.TensorProto.FLOAT, convert_graph=record)
    monkeypatch.setitem(EXPORTS, "bf16", row)
    model, _ = export(config, quiet)
    assert read_card(model).provenance["bf16"] == {"images": 24}


def test_values_that_a_new_precision_cannot_hold_are_refused_with_the_layer(
    config: ExportConfig, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infer.core.errors import ParityError

    row = PrecisionExport(rule=RULE, weights=onnx.TensorProto.FLOAT, largest=1e-3)
    monkeypatch.setitem(EXPORTS, "bf16", row)
    with pytest.raises(ParityError, match=r"bf16 cannot hold .*: the weights of conv1 reaches .*, the limit is 0"):
        export(config, quiet)
