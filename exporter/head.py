"""The last linear layer of a graph: where it is, and its form in half precision."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from infer.core.errors import ExportError

HALF = onnx.TensorProto.FLOAT16


@dataclass(frozen=True)
class Head:
    """The linear layer that gives the logits, and the feature map that is averaged for it."""

    pooled: str
    """Name of the feature map."""
    weight: NDArray[np.floating]
    """[K, C], in the graph's precision."""
    bias: NDArray[np.floating]
    """[K], likewise."""


def find_head(model: onnx.ModelProto) -> Head:
    """The head of a graph: one Gemm, or a MatMul and an Add. Raises ExportError where it does not end so."""
    nodes = list(model.graph.node)
    pools, gemms, products = (_nodes(model, kind) for kind in ("GlobalAveragePool", "Gemm", "MatMul"))
    if len(gemms) == 1 and pools:
        weight, bias = (_constant(model, name) for name in gemms[0].input[1:])
        return Head(pools[-1].input[0], weight, bias)
    if not gemms and pools and products and nodes.index(products[-1]) > nodes.index(pools[-1]):
        (add,) = [node for node in nodes if products[-1].output[0] in node.input]
        return Head(pools[-1].input[0], _constant(model, products[-1].input[1]).T, _constant(model, add.input[1]))
    raise ExportError("the graph does not end in one pooling and one linear map; export without --cam")


def split_half_head(model: onnx.ModelProto) -> None:
    """Make a Gemm in half precision a MatMul and an Add: tract 0.23 has no Gemm with a bias in float16.

    ONNX Runtime joins the two again. A graph of another precision stays as it is.
    """
    graph = model.graph
    for position, node in enumerate(list(graph.node)):
        if node.op_type != "Gemm":
            continue
        features, weight, bias = node.input
        (tensor,) = [item for item in graph.initializer if item.name == weight]
        if tensor.data_type != HALF:
            continue
        product = f"{node.name}_product"
        transposed = np.ascontiguousarray(numpy_helper.to_array(tensor).T)
        tensor.CopyFrom(numpy_helper.from_array(transposed, tensor.name))
        add = helper.make_node("Add", [product, bias], node.output, name=f"{node.name}_bias")
        graph.node.insert(position + 1, add)
        graph.node[position].CopyFrom(helper.make_node("MatMul", [features, weight], [product], name=node.name))


def _nodes(model: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind]


def _constant(model: onnx.ModelProto, name: str) -> NDArray[np.floating]:
    return numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))
