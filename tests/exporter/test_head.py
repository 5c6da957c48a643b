"""The last linear layer is found in both of its forms; in half precision it is a MatMul and an Add."""

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from helpers.networks import SCALE, folded, images, make_card, run, tiny, traced
from onnx import TensorProto, helper, numpy_helper

from exporter.graph import at_precision, build_graph, finish
from exporter.head import find_head, split_half_head
from infer.core.errors import ExportError
from infer.model.card import Normalization


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("opset", [17, 21])
def test_half_precision_has_no_gemm_and_other_precisions_keep_it(opset: int) -> None:
    half = build_graph(folded(precision="fp16"), make_card(opset=opset, precision="fp16"))
    assert "Gemm" not in kinds(half)
    assert kinds(half)[-6:] == ["Flatten", "MatMul", "Add", "Cast", "Div", "Softmax"]
    assert kinds(finish(traced(SCALE), make_card(opset=opset))).count("Gemm") == 1


def test_the_head_is_the_networks_in_both_forms_and_beside_a_colour_matrix() -> None:
    matrix = ((2.0, 0.5, 0.0), (0.1, 3.0, 0.2), (0.0, 0.3, 1.0))  # a MatMul of its own
    network = tiny(normalization=Normalization((0.4, 0.5, 0.6), matrix))
    layer = network.resnet.fc
    for precision in ("fp32", "fp16"):
        head = find_head(build_graph(at_precision(network, precision), make_card(opset=17, precision=precision)))
        np.testing.assert_allclose(head.weight, layer.weight.detach(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(head.bias, layer.bias.detach(), rtol=1e-3, atol=1e-4)


def test_splitting_changes_no_logit_by_more_than_half_precision_rounds() -> None:
    with torch.inference_mode():
        expected = tiny()(torch.from_numpy(images(5)))[0].numpy()
    half = build_graph(folded(precision="fp16"), make_card(opset=17, precision="fp16"))
    np.testing.assert_allclose(run(half, images(5))[0], expected, atol=4e-3 * max(1, np.abs(expected).max()))


def linear(kind: type) -> onnx.ModelProto:
    weights = np.arange(6).reshape(2, 3).astype(kind), np.array([0.5, -1], kind)
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="fc", transB=1)],
        "g",
        [value("x", code, ["n", 3])],
        [value("y", code, ["n", 2])],
        [numpy_helper.from_array(array, name) for array, name in zip(weights, "wb", strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_only_a_gemm_in_half_precision_is_split_and_computes_the_same() -> None:
    single, half = linear(np.float32), linear(np.float16)
    for model in (single, half):
        split_half_head(model)
        onnx.checker.check_model(model, full_check=True)
    assert (kinds(single), kinds(half)) == (["Gemm"], ["MatMul", "Add"])
    assert half.graph.node[1].output == ["y"]
    x = np.array([[1, 2, 3], [0, 1, 0]], np.float16)
    (y,) = onnx.reference.ReferenceEvaluator(half).run(None, {"x": x})
    np.testing.assert_array_equal(y, [[8.5, 25], [1.5, 3]])
    assert half.graph.initializer[0].data_type == TensorProto.FLOAT16


def test_a_graph_without_a_head_is_refused() -> None:
    with pytest.raises(ExportError, match="does not end in one pooling"):
        find_head(linear(np.float32))
