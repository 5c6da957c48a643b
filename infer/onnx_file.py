"""The header of an ONNX file: opsets and metadata, read without the onnx package and without loading the graph.

An ONNX file is one protobuf message (ModelProto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Reading its
few outer fields and skipping the graph takes no time, for any size of network, and cannot execute anything.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infer.errors import ModelError

IR_VERSION, PRODUCER, OPSET_IMPORT, METADATA_PROPS = 1, 2, 8, 14
"""Field numbers of ModelProto; in their entries, 1 is the domain or key and 2 the version or value."""
MAX_FIELD = 16_000_000


@dataclass(frozen=True)
class OnnxHeader:
    """The outer fields of an ONNX file."""

    ir_version: int
    producer: str
    opsets: dict[str, int]
    """Version by operator domain; "" is ONNX's own."""
    metadata: dict[str, str]


def read_header(path: Path) -> OnnxHeader:
    """Read the outer fields of an ONNX file.

    Raises:
        ModelError: there is no such file, or it is not an ONNX file.
    """
    ir_version, producer, opsets, metadata = 0, "", {}, {}
    try:
        with path.open("rb") as file:
            for number, value in _fields(file, path.stat().st_size):
                if number == IR_VERSION and isinstance(value, int):
                    ir_version = value
                elif number == PRODUCER and isinstance(value, bytes):
                    producer = value.decode()
                elif number == OPSET_IMPORT and isinstance(value, bytes):
                    entry = _entry(value)
                    opsets[_text(entry.get(1))] = int(entry.get(2, 0))
                elif number == METADATA_PROPS and isinstance(value, bytes):
                    entry = _entry(value)
                    metadata[_text(entry.get(1))] = _text(entry.get(2))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:
        raise ModelError(f"{path} is not an ONNX file; use a file that `lab export` wrote") from error
    if not ir_version or not opsets:
        raise ModelError(f"{path} is not an ONNX file; use a file that `lab export` wrote")
    return OnnxHeader(ir_version, producer, opsets, metadata)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int | bytes | None]]:
    """Number and value of each field up to `end`; None for a field too large to be of interest, which is skipped."""
    while file.tell() < end:
        key = _varint(file)
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, _varint(file)
        elif wire == 2:
            size = _varint(file)
            if file.tell() + size > end:
                raise ValueError("a field runs past the end")
            if size > MAX_FIELD or number not in (1, 2, PRODUCER, OPSET_IMPORT, METADATA_PROPS):
                file.seek(size, 1)
                yield number, None
            else:
                yield number, file.read(size)
        elif wire in (1, 5):
            file.seek(8 if wire == 1 else 4, 1)
        else:
            raise ValueError(f"wire type {wire}")


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


def _entry(message: bytes) -> dict[int, int | bytes]:
    return {number: value for number, value in _fields(io.BytesIO(message), len(message)) if value is not None}


def _text(value: int | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else ""
