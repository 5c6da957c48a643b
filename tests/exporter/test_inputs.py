"""A graph that takes float32 planes computes what the one that takes bytes does, in every precision."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.networks import SCALE, folded, images, make_card, run, traced

from exporter.graph import build_graph, finish
from exporter.inputs import take_input
from exporter.quantize import quantize
from infer.core.errors import ExportError
from infer.model.card import Normalization, read_card
from infer.model.evidence import read_evidence
from infer.model.session import Session

MATRIX = Normalization((0.4, 0.5, 0.6), ((2.0, 0.5, 0.0), (0.1, 3.0, 0.2), (0.0, 0.3, 1.0)))
GREY = Normalization((0.4, 0.5, 0.6), ((0.6, 1.2, 0.2),) * 3, per_image=True)


def planes(batch: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)


def as_float(model: onnx.ModelProto, batch: int | None = None, **changes: object) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    take_input(copied, "float", make_card().pixels)
    return finish(copied, make_card(input="float", **changes), batch)


@pytest.mark.parametrize("normalization", [SCALE, MATRIX, GREY], ids=["channels", "matrix", "each image"])
def test_outputs_are_those_of_the_graph_that_takes_bytes(normalization: Normalization) -> None:
    plain = finish(traced(normalization), make_card(opset=17))
    changed = as_float(plain, opset=17)
    for got, wanted in zip(run(changed, planes(images(3))), run(plain, images(3)), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    kinds = [node.op_type for node in changed.graph.node]
    assert "Cast" not in kinds
    assert ("Transpose" in kinds) == (normalization is not SCALE)


def test_the_input_is_float32_planes_with_the_batch_size_that_was_asked_for() -> None:
    for batch, first in ((None, "batch"), (4, 4)):
        (item,) = as_float(finish(traced(SCALE), make_card(opset=17), batch), batch, opset=17).graph.input
        shape = [dim.dim_param or dim.dim_value for dim in item.type.tensor_type.shape.dim]
        assert (item.name, item.type.tensor_type.elem_type, shape) == ("images", 1, [first, 3, 32, 32])


def test_half_precision_and_int8_take_it_too() -> None:
    half = build_graph(folded(precision="fp16"), make_card(opset=17, precision="fp16"))
    eight = finish(
        quantize(finish(traced(SCALE), make_card(opset=17)), images(20)).model, make_card(opset=17, precision="int8")
    )
    for precision, plain in (("fp16", half), ("int8", eight)):
        changed = as_float(plain, opset=17, precision=precision)
        np.testing.assert_allclose(run(changed, planes(images(3)))[0], run(plain, images(3))[0], atol=1e-3)


def test_a_graph_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(ExportError, match="does not begin with the cast"):
        take_input(as_float(finish(traced(SCALE), make_card(opset=17)), opset=17), "float", make_card().pixels)


def test_an_exported_file_is_beside_the_other_passes_the_gate_and_predicts_the_same(
    lab: Callable, fresh: Path, model: Path
) -> None:
    ran = lab("export", fresh, "--input", "float")
    assert ran.code == 0, ran.err
    file = fresh / "model.float.onnx"
    evidence = read_evidence(file)
    assert evidence is not None
    assert evidence.intact
    assert read_card(file).input == "float"
    ours, plain = Session(file, "cpu"), Session(model, "cpu")
    height, width = ours.card.pixels.window
    batch = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    np.testing.assert_allclose(ours.run(batch)[1], plain.run(batch)[1], atol=1e-6)
    assert lab("verify", file).code == 0
    assert "float32 [batch, 3, 32, 32], RGB planes, 0 to 255" in " ".join(lab("inspect", file).out.split())
