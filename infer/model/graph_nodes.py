"""The operators of an ONNX file with what bears on the memory that they take."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from infer.core.errors import ModelError
from infer.core.text import shown
from infer.model.onnx_reader import DOMAIN, OPERATOR, Tensor, read_tensor
from infer.model.protobuf import as_text, content, fields_of, varints

NODE_INPUT, NODE_OUTPUT, ATTRIBUTE = 1, 2, 5
"""Field numbers of NodeProto."""
ATTRIBUTE_NAME, INTEGER, TENSOR, SUBGRAPH, INTEGERS, TENSORS, SUBGRAPHS = 1, 3, 5, 6, 8, 10, 11
SPARSE = (22, 23)
"""Field numbers of AttributeProto."""
MOST_NUMBERS = 1 << 16
"""Of an attribute."""


@dataclass
class Node:
    """An operator with what bears on its size."""

    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    numbers: dict[str, list[int]] = field(default_factory=dict)
    """The whole numbers of each attribute."""
    tensors: list[Tensor] = field(default_factory=list)
    """Those of all attributes."""


def read_node(model: Path, file: BinaryIO, span: int | range) -> Node:
    """Raises ModelError for a node with a graph inside, which repeats or chooses what it runs."""
    node = Node()
    for number, value in fields_of(file, span):
        if number == OPERATOR:
            node.operator = as_text(content(file, value))
        elif number == DOMAIN:
            node.domain = as_text(content(file, value))
        elif number in (NODE_INPUT, NODE_OUTPUT):
            (node.inputs if number == NODE_INPUT else node.outputs).append(as_text(content(file, value)))
        elif number == ATTRIBUTE and not _read_attribute(file, value, node):
            raise ModelError(
                f"{model} has an operator {shown(node.operator)} with a graph or a sparse constant inside, which no "
                "network of lab has; export it again"
            )
    return node


def _read_attribute(file: BinaryIO, span: int | range, node: Node) -> bool:
    """Add an attribute to a node; whether it is of a kind that lab opens."""
    name, numbers = "", list[int]()
    for number, value in fields_of(file, span):
        if number in (SUBGRAPH, SUBGRAPHS, *SPARSE):
            return False
        if number == ATTRIBUTE_NAME:
            name = as_text(content(file, value))
        elif number in (INTEGER, INTEGERS):
            numbers += map(signed, varints(file, value, MOST_NUMBERS))
        elif number in (TENSOR, TENSORS) and isinstance(value, range):
            node.tensors.append(read_tensor(file, value))
    node.numbers.setdefault(name, []).extend(numbers)
    return True


def signed(number: int) -> int:
    """A number of 64 bits as int64."""
    return number - (1 << 64) if number >= 1 << 63 else number
