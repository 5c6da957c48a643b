"""An ONNX file, read without the onnx package and without loading its weights: header, inputs, outputs, operators.

An ONNX file is one protobuf message (ModelProto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Reading the
small fields and skipping the weights takes no time, for any size of network, and cannot execute anything.
"""

import contextlib
import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infer.core.errors import ModelError

IR_VERSION, PRODUCER, GRAPH, OPSET_IMPORT, METADATA_PROPS = 1, 2, 7, 8, 14
"""Field numbers of ModelProto; in the entries of the last two, 1 is the domain or key and 2 the version or value."""
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12
"""Field numbers of GraphProto."""
MAX_FIELD = 16_000_000
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
"""Names of the values of TensorProto.DataType that a lab file may hold."""


@dataclass(frozen=True)
class OnnxHeader:
    """The outer fields of an ONNX file."""

    ir_version: int
    producer: str
    opsets: dict[str, int]
    """Version by operator domain; "" is ONNX's own."""
    metadata: dict[str, str]
    starts: dict[str, int]
    """Byte offset of each metadata entry in the file, by key."""


@dataclass(frozen=True)
class OnnxGraph:
    """An ONNX file's inputs and outputs, its operators and the number of its parameters."""

    inputs: tuple[str, ...]
    """Name, type and shape, for display: `images uint8 [batch, 224, 224, 3]`."""
    outputs: tuple[str, ...]
    operators: dict[str, int]
    """Number of nodes by operator."""
    parameters: int
    """Numbers in all constants: weights, biases, and of a quantised file scales and zero points."""


def read_header(path: Path) -> OnnxHeader:
    """Read the outer fields of an ONNX file.

    Raises:
        ModelError: there is no such file, or it is not an ONNX file.
    """
    ir_version, producer, opsets, metadata, starts = 0, "", {}, {}, {}
    with _opened(path) as file:
        for number, value in _fields(file, path.stat().st_size):
            if number == IR_VERSION and isinstance(value, int):
                ir_version = value
            elif number == PRODUCER:
                producer = _text(_content(file, value))
            elif number == OPSET_IMPORT:
                entry = _message(file, value)
                opsets[_text(entry.get(1))] = _number(entry.get(2))
            elif number == METADATA_PROPS and isinstance(value, range) and len(value) <= MAX_FIELD:
                start = value.start - 1 - len(_varint_bytes(len(value)))
                entry = _message(file, value)
                metadata[_text(entry.get(1))] = _text(entry.get(2))
                starts[_text(entry.get(1))] = start
        if not ir_version or not opsets:
            raise ValueError("no version")
    return OnnxHeader(ir_version, producer, opsets, metadata, starts)


def read_graph(path: Path) -> OnnxGraph:
    """Read an ONNX file's inputs, outputs, operators and size. Raises ModelError as `read_header` does."""
    inputs: list[str] = []
    outputs: list[str] = []
    operators, parameters = Counter[str](), 0
    with _opened(path) as file:
        for number, graph in _fields(file, path.stat().st_size):
            if number != GRAPH or not isinstance(graph, range):
                continue
            for kind, value in _fields(file, graph.stop):
                if kind == NODE:
                    operators[_text(_message(file, value).get(4))] += 1
                elif kind == INITIALIZER and isinstance(value, range):
                    parameters += _size(file, value)
                elif kind in (INPUT, OUTPUT):
                    (inputs if kind == INPUT else outputs).append(_value_info(_message(file, value)))
    return OnnxGraph(tuple(inputs), tuple(outputs), dict(sorted(operators.items())), parameters)


def metadata_entry(key: str, value: str) -> bytes:
    """A metadata entry, encoded. Appended to a file it adds the entry and changes nothing else.

    That is valid since fields of a protobuf message may come in any order, and repeated fields need not be adjacent.
    """
    entry = b"".join(field_bytes(number, text.encode()) for number, text in ((1, key), (2, value)))
    return field_bytes(METADATA_PROPS, entry)


def field_bytes(number: int, content: bytes) -> bytes:
    """A length-delimited field, encoded: a text, a message or a tensor's content."""
    return _varint_bytes(number << 3 | 2) + _varint_bytes(len(content)) + content


def number_bytes(number: int, value: int) -> bytes:
    """A varint field, encoded; `value` is at least 0."""
    return _varint_bytes(number << 3) + _varint_bytes(value)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; errors while it is read become ModelErrors."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:
        raise ModelError(f"{path} is not an ONNX file; use a file that `lab export` wrote") from error


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int | range]]:
    """Number and value of each field up to `end`; the value of a length-delimited field is the range of its bytes."""
    while (at := file.tell()) < end:
        key = _varint(file)
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, _varint(file)
        elif wire == 2:
            size = _varint(file)
            content = range(file.tell(), file.tell() + size)
            if content.stop > end:
                raise ValueError("a field runs past the end")
            yield number, content
            file.seek(content.stop)
        elif wire in (1, 5):
            file.seek(8 if wire == 1 else 4, 1)
        else:
            raise ValueError(f"wire type {wire}, at {at}")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than 64 bits")


def _content(file: BinaryIO, value: int | range) -> bytes:
    """The bytes of a length-delimited field; b"" for a varint, or above MAX_FIELD bytes."""
    if isinstance(value, int) or len(value) > MAX_FIELD:
        return b""
    file.seek(value.start)
    return file.read(len(value))


def _message(file: BinaryIO, value: int | range) -> dict[int, int | bytes]:
    """The fields of a small message by number; the last one where a field is repeated."""
    content = _content(file, value)
    inner = io.BytesIO(content)
    return {
        number: item if isinstance(item, int) else _content(inner, item)
        for number, item in _fields(inner, len(content))
    }


def _value_info(entry: dict[int, int | bytes]) -> str:
    """Name, type and shape of a ValueInfoProto, for display; a dimension is a number or a name."""
    tensor = _nested(_nested(entry.get(2)).get(1))
    shape = io.BytesIO(_bytes(tensor.get(2)))
    sizes = [_nested(_content(shape, item)) for number, item in _fields(shape, len(shape.getvalue())) if number == 1]
    names = [_text(size.get(2)) or str(_number(size.get(1))) for size in sizes]
    return f"{_text(entry.get(1))} {TYPES.get(_number(tensor.get(1)), 'of another type')} [{', '.join(names)}]"


def _size(file: BinaryIO, tensor: range) -> int:
    """The number of elements of a TensorProto; its values are not read."""
    file.seek(tensor.start)
    sizes: list[int] = []
    for number, value in _fields(file, tensor.stop):
        if number == 1 and isinstance(value, int):
            sizes.append(value)
        elif number == 1 and isinstance(value, range):  # packed
            file.seek(value.start)
            while file.tell() < value.stop:
                sizes.append(_varint(file))
    return math.prod(sizes)


def _nested(value: int | bytes | None) -> dict[int, int | bytes]:
    content = _bytes(value)
    return _message(io.BytesIO(content), range(len(content)))


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: int | bytes | None) -> str:
    return _bytes(value).decode()


def _number(value: int | bytes | None) -> int:
    return value if isinstance(value, int) else 0


def _varint_bytes(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
