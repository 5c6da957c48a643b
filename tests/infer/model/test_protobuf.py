"""Fields of protobuf messages are read and written as Google's own package does."""

import io
from pathlib import Path

import onnx
import pytest

from infer.core.errors import ModelError
from infer.model.protobuf import (
    as_number,
    as_text,
    field_bytes,
    fields,
    fields_of,
    message,
    nested,
    number_bytes,
    opened,
    varint,
    varint_bytes,
    varints,
)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**64 - 1])
def test_a_number_is_read_back(number: int) -> None:
    assert varint(io.BytesIO(varint_bytes(number))) == number
    entry = onnx.OperatorSetIdProto.FromString(number_bytes(2, min(number, 2**63 - 1)))
    assert entry.version == min(number, 2**63 - 1)


def test_a_message_of_googles_package_is_read_by_field_number() -> None:
    entry = onnx.OperatorSetIdProto(domain="lab", version=17)
    content = entry.SerializeToString()
    found = message(io.BytesIO(content), range(len(content)))
    assert (as_text(found.get(1)), as_number(found.get(2))) == ("lab", 17)
    assert (as_text(found.get(3)), as_number(found.get(1))) == ("", 0)
    outer = onnx.ModelProto(opset_import=[entry]).SerializeToString()
    assert nested(message(io.BytesIO(outer), range(len(outer))).get(8)) == found


def test_a_message_that_is_written_is_read_by_googles_package() -> None:
    entry = onnx.StringStringEntryProto.FromString(field_bytes(1, b"key") + field_bytes(2, b"v" * 1000))
    assert (entry.key, entry.value) == ("key", "v" * 1000)


def test_repeated_numbers_are_read_packed_and_single() -> None:
    packed = onnx.TensorProto(int64_data=[1, 300, 7]).SerializeToString()
    ((number, value),) = fields(file := io.BytesIO(packed), len(packed))
    assert (number, varints(file, value)) == (7, [1, 300, 7])
    assert varints(file, 5) == [5]


def test_a_number_has_no_fields_and_a_field_past_the_end_is_an_error() -> None:
    assert list(fields_of(io.BytesIO(b""), 7)) == []
    with pytest.raises(ValueError, match="runs past the end"):
        list(fields(io.BytesIO(b"\x0a\x05ab"), 4))


def test_a_file_in_onnx_runtimes_own_format_is_named(tmp_path: Path) -> None:
    """Such a file is a flatbuffer: an offset, then its identifier."""
    (tmp_path / "a.ort").write_bytes(b"\x1c\0\0\0ORTM" + bytes(100))
    with (
        pytest.raises(ModelError, match=r"ONNX Runtime's own format \(\.ort\).*use the \.onnx file"),
        opened(tmp_path / "a.ort"),
    ):
        pass
