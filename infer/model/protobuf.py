"""Protobuf messages, read and written field by field without a schema (https://protobuf.dev/programming-guides/encoding).

A field that is not needed is skipped, whatever its size, and nothing in a message can be executed.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from infer.core.errors import ModelError

MAX_FIELD = 16_000_000
"""Bytes of the largest field that is read into memory."""
MAX_FIELDS = 1_000_000
"""Fields of a message that are read; a network has some hundreds."""
LONGEST = 10
"""Bytes of the longest number."""
ORT_MARK = b"ORTM"
"""Bytes 4 to 8 of a file in ONNX Runtime's own format."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open an ONNX file for reading; errors while it is read become ModelErrors."""
    try:
        with path.open("rb") as file:
            if file.read(8)[4:] == ORT_MARK:
                raise ModelError(
                    f"{path} is in ONNX Runtime's own format (.ort), which carries no card and no evidence; "
                    "use the .onnx file that it was made from"
                )
            file.seek(0)
            yield file
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:
        raise ModelError(f"{path} is not an ONNX file; use a file that `lab export` wrote") from error


def fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int | range]]:
    """Number and value of each field up to `end`; the value of a length-delimited field is the range of its bytes."""
    count = 0
    while (at := file.tell()) < end:
        count += 1
        if count > MAX_FIELDS:
            raise ValueError(f"more than {MAX_FIELDS} fields in a message")
        key = varint(file)
        field_number, wire = key >> 3, key & 7
        if wire == 0:
            yield field_number, varint(file)
        elif wire == 2:
            size = varint(file)
            found = range(file.tell(), file.tell() + size)
            if found.stop > end:
                raise ValueError("a field runs past the end")
            yield field_number, found
            file.seek(found.stop)
        elif wire in (1, 5):
            file.seek(8 if wire == 1 else 4, 1)
        else:
            raise ValueError(f"wire type {wire}, at {at}")


def fields_of(file: BinaryIO, value: int | range) -> Iterator[tuple[int, int | range]]:
    """The fields of a message within a file, which may be of any size; none for a varint."""
    if isinstance(value, range):
        file.seek(value.start)
        yield from fields(file, value.stop)


def varint(file: BinaryIO) -> int:
    """Read a number of up to 64 bits. Raises ValueError."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than 64 bits")


def varints(file: BinaryIO, value: int | range, most: int | None = None) -> list[int]:
    """A repeated number, packed or a single one of it. Raises ValueError for more than `most`, where that is given."""
    if isinstance(value, int):
        return [value]
    if most is not None and len(value) > most * LONGEST:
        raise ValueError(f"more than {most} numbers")
    file.seek(value.start)
    numbers = []
    while file.tell() < value.stop:
        numbers.append(varint(file))
    return numbers


def content(file: BinaryIO, value: int | range) -> bytes:
    """The bytes of a length-delimited field; b"" for a varint, or above MAX_FIELD bytes."""
    if isinstance(value, int) or len(value) > MAX_FIELD:
        return b""
    file.seek(value.start)
    return file.read(len(value))


def message(file: BinaryIO, value: int | range) -> dict[int, int | bytes]:
    """The fields of a small message by number; the last one where a field is repeated."""
    whole = content(file, value)
    inner = io.BytesIO(whole)
    return {
        field_number: item if isinstance(item, int) else content(inner, item)
        for field_number, item in fields(inner, len(whole))
    }


def nested(value: int | bytes | None) -> dict[int, int | bytes]:
    """The fields of a message within a small message."""
    whole = as_bytes(value)
    return message(io.BytesIO(whole), range(len(whole)))


def as_bytes(value: int | bytes | None) -> bytes:
    """A field's bytes; b"" where it is missing or a number."""
    return value if isinstance(value, bytes) else b""


def as_text(value: int | bytes | None) -> str:
    """A field's text; "" where it is missing or a number. Raises ValueError."""
    return as_bytes(value).decode()


def as_number(value: int | bytes | None) -> int:
    """A field's number; 0 where it is missing or of another kind."""
    return value if isinstance(value, int) else 0


def field_bytes(number: int, whole: bytes) -> bytes:
    """A length-delimited field, encoded: a text, a message or a tensor's content."""
    return varint_bytes(number << 3 | 2) + varint_bytes(len(whole)) + whole


def number_bytes(number: int, value: int) -> bytes:
    """A varint field, encoded; `value` is at least 0."""
    return varint_bytes(number << 3) + varint_bytes(value)


def varint_bytes(value: int) -> bytes:
    """A number of at least 0, encoded."""
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
