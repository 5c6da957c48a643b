"""Writes small ONNX models without the onnx package: lab's own computations on a device, such as resizing.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infer.model.onnx_reader import GRAPH, INITIALIZER, INPUT, IR_VERSION, NODE, OPSET_IMPORT, OUTPUT, TYPES
from infer.model.protobuf import field_bytes as message
from infer.model.protobuf import number_bytes as number

OPSET, IR = 17, 8
INT, INTS = 2, 7
"""Values of AttributeProto.AttributeType."""
CODES = {name: code for code, name in TYPES.items()}


@dataclass(frozen=True)
class Node:
    """One operator of the default domain."""

    operator: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Value:
    """An input or output of the graph."""

    name: str
    dtype: str
    """`float32`, `uint8`, ..."""
    shape: Sequence[int | str]
    """A dimension with a name may have any size."""


def small_model(
    nodes: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Mapping[str, NDArray[np.generic]] | None = None,
    opset: int = OPSET,
) -> bytes:
    """The content of a model file, at an opset in which the operators take these inputs and attributes."""
    graph = b"".join(
        [
            *(message(NODE, _node(node)) for node in nodes),
            _text(2, "graph"),
            *(message(INITIALIZER, _tensor(name, value)) for name, value in (constants or {}).items()),
            *(message(INPUT, _value(value)) for value in inputs),
            *(message(OUTPUT, _value(value)) for value in outputs),
        ]
    )
    return number(IR_VERSION, IR) + message(GRAPH, graph) + message(OPSET_IMPORT, _text(1, "") + number(2, opset))


def _node(node: Node) -> bytes:
    attributes = (message(5, _attribute(name, value)) for name, value in node.attributes.items())
    return b"".join(
        [*(_text(1, name) for name in node.inputs), _text(2, node.output), _text(4, node.operator), *attributes]
    )


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + number(3, value) + number(20, INT)
    return _text(1, name) + b"".join(number(8, item) for item in value) + number(20, INTS)


def _tensor(name: str, value: NDArray[np.generic]) -> bytes:
    sizes = b"".join(number(1, size) for size in value.shape)
    return sizes + number(2, CODES[str(value.dtype)]) + _text(8, name) + message(9, value.tobytes())


def _value(value: Value) -> bytes:
    sizes = (_text(2, size) if isinstance(size, str) else number(1, size) for size in value.shape)
    shape = b"".join(message(1, size) for size in sizes)
    tensor = number(1, CODES[value.dtype]) + message(2, shape)
    return _text(1, value.name) + message(2, message(1, tensor))


def _text(field_number: int, text: str) -> bytes:
    return message(field_number, text.encode())
