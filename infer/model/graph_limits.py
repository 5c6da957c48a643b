"""What a model file from a stranger may not contain, found before a runtime opens it.

A runtime allocates what a file claims and runs what it names. So the whole graph is looked at first: its operators are
ONNX's or ONNX Runtime's, its constants have the values that their shapes claim, and no constant asks an operator for an
output that is far larger than an image's. Sizes that the graph computes while it runs cannot be bounded this way.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from infer.core.errors import ModelError
from infer.core.text import listed, shown
from infer.model.graph_nodes import Node, read_node, signed
from infer.model.onnx_reader import (
    DOUBLE_DATA,
    FLOAT_DATA,
    GRAPH,
    INITIALIZER,
    INT32_DATA,
    INT64_DATA,
    MAX_AXES,
    NODE,
    ONNX_DOMAINS,
    RAW_DATA,
    TYPES,
    Tensor,
    read_tensor,
)
from infer.model.outside_weights import outside_file
from infer.model.protobuf import content, fields, fields_of, opened, varints

DOMAINS = (*ONNX_DOMAINS, "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")
"""Those of ONNX, and of ONNX Runtime's own operators, which its optimised models contain."""
FUNCTIONS, SPARSE_INITIALIZER = 25, 15
"""Field numbers of ModelProto and GraphProto."""
PROGRAMS = ("EPContext",)
"""Operators that load a compiled program from a file."""
MOST_ELEMENTS = 1 << 28
"""Of a tensor whose shape a constant gives: a gigabyte of float32, the first feature map of 80 million pixels."""
MOST_PADDING = 512
"""Pixels that a convolution or a pooling adds at a side; a ResNet's first convolution adds 3."""
MOST_TIMES = 1 << 10
"""How many times the size of its input an output may have by a constant."""
SHAPE_INPUTS = {
    "BlackmanWindow": 0,
    "CenterCropPad": 1,
    "Col2Im": 1,
    "ConstantOfShape": 0,
    "Expand": 1,
    "HammingWindow": 0,
    "HannWindow": 0,
    "OneHot": 1,
    "Resize": 3,
}
"""The input whose values, multiplied, are the number of elements of an output, or of a part of it."""
FACTOR_INPUTS = {"Tile": 1, "Resize": 2, "Upsample": 1}
"""The input whose values, multiplied, are how many times as large as its input an output is."""
SIZED = {*SHAPE_INPUTS, *FACTOR_INPUTS, "Pad", "Range"}
"""Operators whose outputs' sizes follow from the values of an input."""
SHAPE_ATTRIBUTES = ("shape", "output_shape")
CODES = {"float32": "f", "float64": "d", "int32": "i", "int64": "q"}
"""Types of numbers in `struct`."""


def check_limits(model: Path) -> None:
    """Raise ModelError unless a model file contains only what lab opens; it takes milliseconds."""
    nodes, constants = list[Node](), dict[str, Tensor | list[int]]()
    with opened(model) as file:
        for number, value in fields(file, model.stat().st_size):
            if number == FUNCTIONS:
                raise ModelError(
                    f"{model} has functions of its own, which lab does not run; inline them, or export again"
                )
            if number == GRAPH:
                _read_parts(model, file, value, nodes, constants)
        _check_operators(model, nodes)
        for node in nodes:
            _check_sizes(model, node, _known(model, file, node, constants))


def _read_parts(
    model: Path, file: BinaryIO, graph: int | range, nodes: list[Node], constants: dict[str, Tensor | list[int]]
) -> None:
    """Add a graph's nodes, and its constants by name; protobuf joins the graphs of a file that has several.

    Raises:
        ModelError: a constant is sparse, or has not the values that its shape claims.
        ValueError: two constants have one name, so that runtimes may differ in which they take.
    """
    for number, value in fields_of(file, graph):
        found: dict[str, Tensor | list[int]] = {}
        if number == NODE:
            node = read_node(model, file, value)
            nodes.append(node)
            found = _constants_of(model, node)
        elif number == INITIALIZER and isinstance(value, range):
            tensor = read_tensor(file, value)
            _check_tensor(model, tensor)
            found = {tensor.name: tensor}
        elif number == SPARSE_INITIALIZER:
            raise ModelError(f"{model} has sparse constants, which lab does not open; make them dense, or export again")
        if constants.keys() & found.keys():
            raise ValueError("two constants of one name")
        constants |= found


def _constants_of(model: Path, node: Node) -> dict[str, Tensor | list[int]]:
    """Check the tensors in a node's attributes; the values of its outputs where it is a constant, by their names."""
    for tensor in node.tensors:
        _check_tensor(model, tensor)
        if tensor.location:
            raise ModelError(
                f"{model} keeps values of {shown(node.operator)} in another file, which lab does not open there; "
                "export it again"
            )
    if node.operator != "Constant":
        return {}
    if len(node.tensors) > 1:
        raise ValueError("a constant of several tensors")
    numbers = [number for name in ("value_int", "value_ints") for number in node.numbers.get(name, ())]
    value: Tensor | list[int] = node.tensors[0] if node.tensors else numbers
    return dict.fromkeys(node.outputs, value)


def _check_operators(model: Path, nodes: Sequence[Node]) -> None:
    if foreign := sorted({f"{node.domain}.{node.operator}" for node in nodes if node.domain not in DOMAINS}):
        raise ModelError(
            f"{model} has operators that neither ONNX nor ONNX Runtime defines: {listed(foreign)}; export it again"
        )
    if programs := sorted({node.operator for node in nodes if node.operator in PROGRAMS}):
        raise ModelError(f"{model} loads compiled programs ({listed(programs)}), which lab does not; export it again")


def _check_tensor(model: Path, tensor: Tensor) -> None:
    """Raise ModelError where a constant in the file has not the values that its shape claims."""
    if tensor.location or not tensor.size:
        return
    held, enough = 0, False
    if tensor.values is not None:
        number, value = tensor.values
        held = len(value) if isinstance(value, range) else 1
        whole = {RAW_DATA: tensor.nbytes, FLOAT_DATA: 4 * tensor.size, DOUBLE_DATA: 8 * tensor.size}.get(number)
        # numbers of varying length, or of a size not known here, are at least 2 bits long
        varies = whole is None or tensor.dtype not in TYPES.values()
        enough = tensor.size <= 4 * held if varies else held == whole
    if not enough:
        shape = listed(list(map(str, tensor.shape)), 8)
        raise ModelError(
            f"{model} has a constant {shown(tensor.name)} of shape {shape} with {held} bytes of values, which do not "
            "fill it; copy the file again, or export again"
        )


def _check_sizes(model: Path, node: Node, known: Mapping[int, Sequence[float]]) -> None:
    """Raise ModelError where constants ask a node for an output that is far larger than an image's.

    Args:
        model: the file.
        node: the node.
        known: the values of its inputs that are small constants, by their position.
    """
    shapes = [known.get(SHAPE_INPUTS.get(node.operator, -1), ())]
    shapes += [node.numbers.get(name, ()) for name in SHAPE_ATTRIBUTES]
    if node.operator == "Range" and all(known.get(at) for at in range(3)):
        start, limit, step = (known[at][0] for at in range(3))
        shapes.append([(limit - start) / step if step else math.inf])
    factors = [known.get(FACTOR_INPUTS.get(node.operator, -1), ())]
    factors += [node.numbers.get("strides", ())] if node.operator == "ConvTranspose" else []
    pads: list[float] = [*node.numbers.get("pads", ()), *node.numbers.get("output_padding", ())]
    pads += known.get(1, ()) if node.operator == "Pad" else ()
    if (
        max(map(_product, shapes)) > MOST_ELEMENTS
        or max(map(_product, factors)) > MOST_TIMES
        or not all(abs(value) <= MOST_PADDING for value in pads)  # so that NaN is refused too
    ):
        raise ModelError(
            f"{model} asks {shown(node.operator)} for more than {MOST_ELEMENTS:,} values, {MOST_TIMES} times its "
            f"input or {MOST_PADDING} pixels of padding, which no image needs; export it again"
        )


def _product(values: Sequence[float]) -> float:
    """The number of elements of a shape; infinity for what is none."""
    return math.prod(max(1.0, abs(float(value))) if value == value else math.inf for value in values)


def _known(
    model: Path, file: BinaryIO, node: Node, constants: Mapping[str, Tensor | list[int]]
) -> dict[int, Sequence[float]]:
    """The values of a node's inputs that are small constants, by their position, where its output's size needs them."""
    found: dict[int, Sequence[float]] = {}
    for at, name in enumerate(node.inputs if node.operator in SIZED else ()):
        constant = constants.get(name, [])
        if isinstance(constant, list):
            found[at] = constant
        elif constant.size <= MAX_AXES and constant.dtype in CODES:
            found[at] = _values(model, file, constant)
    return found


def _values(model: Path, file: BinaryIO, tensor: Tensor) -> Sequence[float]:
    """The values of a small constant of a type in CODES. Raises ValueError where it has not as many as it claims."""
    number, value = tensor.values or (RAW_DATA, 0)
    if number in (INT32_DATA, INT64_DATA):
        numbers = [signed(item) for item in varints(file, value, MAX_AXES)]
        if len(numbers) != tensor.size:
            raise ValueError("a constant of other values than its shape claims")
        return numbers
    if tensor.location:
        with outside_file(model, tensor.location).open("rb") as other:
            other.seek(tensor.span[0])
            whole = other.read(tensor.nbytes)
    else:
        whole = content(file, value)
    if len(whole) != tensor.nbytes:
        raise ValueError("a constant of other values than its shape claims")
    return [item for (item,) in struct.iter_unpack(f"<{CODES[tensor.dtype]}", whole)]
