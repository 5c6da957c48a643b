"""The graph's first operators: what a file takes, other than uint8 images [batch, H, W, 3]."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporter.embed_resize import embed_resize
from infer.core.errors import ExportError
from infer.images.preprocess import PixelSpec
from infer.model.input_kinds import FLOAT, IMAGE, INPUT_KINDS, UINT8

NAME = INPUT_KINDS[UINT8].name
ELEMENTWISE = ("Add", "Div", "Mul", "Sub")


def take_input(model: onnx.ModelProto, kind: str, spec: PixelSpec) -> None:
    """Change a finished graph, made for uint8 images, to one that takes another kind of input; finish it again.

    `spec`: how a file becomes the network's pixels, which a graph that takes whole images does itself.

    Raises:
        ExportError: the graph does not begin with the cast of its images.
    """
    if kind == FLOAT:
        _take_float(model.graph)
    elif kind == IMAGE:
        cast, _, _ = _first_nodes(model.graph)
        embed_resize(model.graph, spec, INPUT_KINDS[IMAGE].name, cast)


def _take_float(graph: onnx.GraphProto) -> None:
    """Let a graph take float32 images [batch, 3, H, W], 0 to 255, before the normalisation.

    Operators between the cast and the transposition to planes act on planes instead where they are elementwise with a
    value for each channel; then both disappear. Others, such as the product with a colour matrix, get their images
    through a transposition back.
    """
    cast, between, transpose = _first_nodes(graph)
    batch, height, width, channels = graph.input[0].type.tensor_type.shape.dim
    shape = [batch.dim_param or batch.dim_value, channels.dim_value, height.dim_value, width.dim_value]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(NAME, TensorProto.FLOAT, shape))
    if any(node.op_type not in ELEMENTWISE for node in between):
        back = helper.make_node("Transpose", [NAME], cast.output, name="to_nhwc", perm=[0, 2, 3, 1])
        graph.node[list(graph.node).index(cast)].CopyFrom(back)
        return
    constants = {name for node in between for name in node.input}
    for tensor in [item for item in graph.initializer if item.name in constants and list(item.dims) == [3]]:
        values = numpy_helper.to_array(tensor).reshape(3, 1, 1)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    planes, pixels = transpose.output[0], transpose.input[0]
    graph.node.remove(cast)
    graph.node.remove(transpose)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = {cast.output[0]: NAME, planes: pixels}.get(name, name)


def _first_nodes(graph: onnx.GraphProto) -> tuple[onnx.NodeProto, list[onnx.NodeProto], onnx.NodeProto]:
    """The cast of the images, the operators after it, and the transposition to planes. Raises ExportError."""
    nodes = list(graph.node)
    kinds = [node.op_type for node in nodes]
    if kinds[:1] != ["Cast"] or nodes[0].input[0] != NAME or "Transpose" not in kinds:
        raise ExportError("the graph does not begin with the cast of its images; report this")
    end = kinds.index("Transpose")
    return nodes[0], nodes[1:end], nodes[end]
