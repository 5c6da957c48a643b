"""An ONNX file, read without the onnx package and without loading its weights: header, inputs, outputs, operators.

An ONNX file is one protobuf message (ModelProto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Reading the
small fields and skipping the weights takes no time, for any size of network, and cannot execute anything.
"""

import hashlib
import io
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infer.model.protobuf import (
    MAX_FIELD,
    as_bytes,
    as_number,
    as_text,
    content,
    field_bytes,
    fields,
    fields_of,
    message,
    nested,
    opened,
    varint_bytes,
    varints,
)

IR_VERSION, PRODUCER, GRAPH, OPSET_IMPORT, METADATA_PROPS = 1, 2, 7, 8, 14
"""Field numbers of ModelProto; in the entries of the last two, 1 is the domain or key and 2 the version or value."""
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12
"""Field numbers of GraphProto."""
NOTES = (2, 10, 13, 16)
"""Those of GraphProto's name, description, inferred shapes and metadata, which change no output."""
OPERATOR, DOMAIN = 4, 7
"""Field numbers of NodeProto."""
SHAPE, DTYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 13, 14
"""Field numbers of TensorProto."""
FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA = 4, 5, 7, 10, 11
"""Field numbers of TensorProto in which small constants have their values in place of RAW_DATA."""
TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    16: "bfloat16",
    21: "uint4",
    22: "int4",
}
"""Names of the values of TensorProto.DataType that a lab file, or what was made of one, may hold."""
ONNX_DOMAINS = ("", "ai.onnx")
MAX_AXES = 64
"""Axes of a constant, of which ONNX Runtime takes fewer."""


@dataclass(frozen=True)
class OnnxHeader:
    """The outer fields of an ONNX file."""

    ir_version: int
    producer: str
    opsets: dict[str, int]
    """Version by operator domain; "" is ONNX's own."""
    metadata: dict[str, str]
    entries: tuple[tuple[str, range], ...]
    """Key and byte range in the file of each metadata entry, in the order in which they come."""

    @property
    def starts(self) -> dict[str, int]:
        """Byte offset of each metadata entry in the file, by key."""
        return {key: span.start for key, span in self.entries}


@dataclass(frozen=True)
class Tensor:
    """A constant of the graph; its values are not read."""

    name: str
    dtype: str
    """`float32`, `uint8`, ..."""
    shape: tuple[int, ...]
    values: tuple[int, int | range] | None = None
    """Field number and byte range in the file of its values; None where they are not in the file."""
    location: str = ""
    """The other file that holds its values, relative to the model's folder; "" where there is none."""
    span: tuple[int, int | None] = (0, None)
    """Offset and number of its bytes in that file; None: to its end."""

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """The number of bits of an element; 8 where the type is not known."""
        digits = self.dtype.lstrip("abcdefghijklmnopqrstuvwxyz") if self.dtype in TYPES.values() else ""
        return int(digits or 8)

    @property
    def nbytes(self) -> int:
        """The number of bytes of its values."""
        return -(-self.size * self.bits // 8)


@dataclass(frozen=True)
class ValueInfo:
    """An input or output of a graph. As text: `images uint8 [batch, 224, 224, 3]`."""

    name: str
    dtype: str
    """`float32`, `uint8`, ..."""
    shape: tuple[int | str, ...]
    """Each dimension's size, or its name where any size will do."""

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class OnnxGraph:
    """An ONNX file's inputs and outputs, its operators and its constants."""

    input_values: tuple[ValueInfo, ...]
    output_values: tuple[ValueInfo, ...]
    operators: dict[str, int]
    """Number of nodes by operator; one of another domain than ONNX's own has the domain before its name."""
    tensors: tuple[Tensor, ...]
    """The constants: weights, biases, and of a quantised file scales and zero points."""
    structure: str
    """Sha256 of all but the constants and notes: nodes with their names and attributes, inputs, outputs."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Name, type and shape of each input, for display."""
        return tuple(map(str, self.input_values))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Likewise of each output."""
        return tuple(map(str, self.output_values))

    @property
    def parameters(self) -> int:
        """Numbers in all constants."""
        return sum(tensor.size for tensor in self.tensors)


def read_header(path: Path) -> OnnxHeader:
    """Read the outer fields of an ONNX file.

    Raises:
        ModelError: there is no such file, or it is not an ONNX file.
    """
    ir_version, producer, opsets, metadata, entries = 0, "", {}, {}, []
    with opened(path) as file:
        for number, value in fields(file, path.stat().st_size):
            if number == IR_VERSION and isinstance(value, int):
                ir_version = value
            elif number == PRODUCER:
                producer = as_text(content(file, value))
            elif number == OPSET_IMPORT:
                entry = message(file, value)
                opsets[as_text(entry.get(1))] = as_number(entry.get(2))
            elif number == METADATA_PROPS and isinstance(value, range) and len(value) <= MAX_FIELD:
                start = value.start - 1 - len(varint_bytes(len(value)))
                entry = message(file, value)
                metadata[as_text(entry.get(1))] = as_text(entry.get(2))
                entries.append((as_text(entry.get(1)), range(start, value.stop)))
        if not ir_version or not opsets:
            raise ValueError("no version")
    return OnnxHeader(ir_version, producer, opsets, metadata, tuple(entries))


def read_graph(path: Path) -> OnnxGraph:
    """Read an ONNX file's inputs, outputs, operators and constants. Raises ModelError as `read_header` does."""
    inputs: list[ValueInfo] = []
    outputs: list[ValueInfo] = []
    tensors: list[Tensor] = []
    operators, structure = Counter[str](), hashlib.sha256()
    with opened(path) as file:
        for number, graph in fields(file, path.stat().st_size):
            if number != GRAPH:
                continue
            for kind, value in fields_of(file, graph):
                if kind == INITIALIZER and isinstance(value, range):
                    tensors.append(read_tensor(file, value))
                    continue
                if kind not in NOTES:
                    structure.update(f"{kind}\0".encode() + content(file, value) + b"\0")
                if kind == NODE:
                    operators[_operator(message(file, value))] += 1
                elif kind in (INPUT, OUTPUT):
                    (inputs if kind == INPUT else outputs).append(_value_info(message(file, value)))
    return OnnxGraph(
        input_values=tuple(inputs),
        output_values=tuple(outputs),
        operators=dict(sorted(operators.items())),
        tensors=tuple(tensors),
        structure=structure.hexdigest(),
    )


def read_tensor(file: BinaryIO, span: range) -> Tensor:
    """Read a TensorProto without its values. Raises ValueError."""
    name, dtype, outside, shape = "", 0, False, list[int]()
    values: tuple[int, int | range] | None = None
    entries: dict[str, str] = {}
    for number, value in fields_of(file, span):
        if number == SHAPE:
            shape += varints(file, value, MAX_AXES)
            if len(shape) > MAX_AXES:
                raise ValueError("a constant of too many axes")
        elif number == DTYPE and isinstance(value, int):
            dtype = value
        elif number == NAME:
            name = as_text(content(file, value))
        elif number == EXTERNAL_DATA:
            entry = message(file, value)
            entries[as_text(entry.get(1))] = as_text(entry.get(2))
        elif number == DATA_LOCATION:
            outside = value == 1
        elif number in (RAW_DATA, FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA):
            if values is not None:  # protobuf joins them, or takes one, by their type and encoding
                raise ValueError("the values of a constant in several fields")
            values = (number, value)
    kind = TYPES.get(dtype, f"type {dtype}")
    if not outside:
        return Tensor(name, kind, tuple(shape), values)
    length = int(entries["length"]) if "length" in entries else None
    return Tensor(name, kind, tuple(shape), None, entries.get("location", ""), (int(entries.get("offset", 0)), length))


def metadata_entry(key: str, value: str) -> bytes:
    """A metadata entry, encoded. Appended to a file it adds the entry and changes nothing else.

    That is valid since fields of a protobuf message may come in any order, and repeated fields need not be adjacent.
    """
    entry = b"".join(field_bytes(number, text.encode()) for number, text in ((1, key), (2, value)))
    return field_bytes(METADATA_PROPS, entry)


def _operator(node: dict[int, int | bytes]) -> str:
    domain, operator = as_text(node.get(DOMAIN)), as_text(node.get(OPERATOR))
    return operator if domain in ONNX_DOMAINS else f"{domain}.{operator}"


def _value_info(entry: dict[int, int | bytes]) -> ValueInfo:
    """A ValueInfoProto of a tensor."""
    tensor = nested(nested(entry.get(2)).get(1))
    shape = io.BytesIO(as_bytes(tensor.get(2)))
    sizes = [nested(content(shape, item)) for number, item in fields(shape, len(shape.getvalue())) if number == 1]
    dimensions = tuple(as_text(size.get(2)) or as_number(size.get(1)) for size in sizes)
    return ValueInfo(as_text(entry.get(1)), TYPES.get(as_number(tensor.get(1)), "of another type"), dimensions)
