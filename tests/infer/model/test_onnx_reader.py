import contextlib
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_files import small_model
from onnx import helper, numpy_helper

from infer.core.errors import ModelError
from infer.model.onnx_reader import (
    GRAPH,
    INITIALIZER,
    INPUT,
    IR_VERSION,
    METADATA_PROPS,
    NODE,
    OPSET_IMPORT,
    OUTPUT,
    PRODUCER,
    TYPES,
    metadata_entry,
    read_graph,
    read_header,
)


def test_the_field_numbers_are_those_of_the_onnx_package() -> None:
    number = {field.name: field.number for field in onnx.ModelProto.DESCRIPTOR.fields}
    named = (number["ir_version"], number["producer_name"], number["opset_import"], number["metadata_props"])
    assert named == (IR_VERSION, PRODUCER, OPSET_IMPORT, METADATA_PROPS)
    assert number["graph"] == GRAPH
    number = {field.name: field.number for field in onnx.GraphProto.DESCRIPTOR.fields}
    assert (number["node"], number["initializer"], number["input"], number["output"]) == (
        NODE,
        INITIALIZER,
        INPUT,
        OUTPUT,
    )
    assert {kind: str(np.dtype(helper.tensor_dtype_to_np_dtype(kind))) for kind in TYPES} == TYPES


def test_a_header_is_what_the_onnx_package_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    metadata = {"lab.card": '{"name": "grün"}', "long": "x" * 70_000, "empty": ""}
    onnx.save(small_model(metadata, doc_string="doc", domain="org.lab", model_version=1 << 40), path)
    header, theirs = read_header(path), onnx.load(path)
    assert (header.ir_version, header.producer) == (theirs.ir_version, theirs.producer_name) == (8, "lab")
    assert (
        header.opsets == {item.domain: item.version for item in theirs.opset_import} == {"": 17, "com.microsoft": 300}
    )
    assert header.metadata == {item.key: item.value for item in theirs.metadata_props} == metadata


def test_an_exported_models_header_is_what_the_onnx_package_reads(model: Path) -> None:
    header, theirs = read_header(model), onnx.load(model)
    assert header.opsets == {item.domain: item.version for item in theirs.opset_import}
    assert header.opsets[""] == 17
    assert header.metadata == {item.key: item.value for item in theirs.metadata_props}
    assert (header.ir_version, header.producer) == (theirs.ir_version, theirs.producer_name)


def test_bytes_written_by_hand_from_protobufs_encoding_are_read(tmp_path: Path) -> None:
    """https://protobuf.dev/programming-guides/encoding: key = number << 3 | wire type; 150 is 96 01."""
    path = tmp_path / "a.onnx"
    opset = b"\x42\x03" + b"\x10\x96\x01"  # field 8, 3 bytes: field 2, varint 150
    strangers = b"\xa1\x06" + b"\xff" * 8 + b"\xa5\x06" + b"\xff" * 4  # field 100, 64 and 32 bits wide
    metadata = b"\x72\x06" + b"\x0a\x01k" + b"\x12\x01v"  # field 14: key, value
    path.write_bytes(opset + strangers + metadata + b"\x08\x0a")
    header = read_header(path)
    assert (header.ir_version, header.producer, header.opsets, header.metadata) == (10, "", {"": 150}, {"k": "v"})


def test_weights_beside_the_file_are_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(small_model({"k": "v"}), path, save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "weights").stat().st_size > 0
    (tmp_path / "weights").unlink()
    assert read_header(path).metadata == {"k": "v"}


def test_the_graph_is_not_loaded(tmp_path: Path) -> None:
    path, size = tmp_path / "a.onnx", 1 << 30
    with path.open("wb") as file:  # sparse: takes no disk
        file.write(b"\x08\x08\x3a" + b"\x80\x80\x80\x80\x04")  # IR version 8, then a graph of 2 ** 30 bytes
        file.seek(size, 1)
        file.write(b"\x42\x02\x10\x11")
    tracemalloc.start()
    header = read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert header.opsets == {"": 17}
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"hello, this is plain text\n",
        b"PK\x03\x04 a zip archive, as torch writes",
        b"\x89PNG\r\n\x1a\n",
        b"\xff" * 64,
        b"\x08",
        b"\x08\x08",
        b"\x42\x02\x10\x11",
        b"\x08\x08\x42\x7f\x10\x11",
        b"\x08\x08\x42\x02\x10\x11\x0b",
        b"\x08\x08\x42\x02\x10\x11\x12\x01\xff",
        b"\x08\x08\x42\x04\x10\x11\x0a\x09",
    ],
)
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.onnx is not an ONNX file; use a file that `lab export` wrote"):
        read_header(path)


def test_random_bytes_give_a_header_or_a_model_error_and_nothing_else(tmp_path: Path) -> None:
    path, refused = tmp_path / "a.onnx", 0
    for seed in range(300):
        path.write_bytes(b"\x08\x08\x42" + np.random.default_rng(seed).bytes(seed))
        try:
            read_header(path)
        except ModelError:
            refused += 1
    assert refused > 200


def test_a_file_cut_anywhere_in_the_graph_is_refused(tmp_path: Path) -> None:
    whole = small_model({"lab.card": "{}"}).SerializeToString()
    graph_end = whole.index(helper.make_opsetid("", 17).SerializeToString())
    path = tmp_path / "a.onnx"
    for size in range(0, graph_end, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="is not an ONNX file"):
            read_header(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*none\.onnx: No such file.*check the path"):
        read_header(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match=r"cannot read .*: Is a directory; check the path"):
        read_header(tmp_path)


def test_a_graph_is_what_the_onnx_package_reads(model: Path) -> None:
    graph, theirs = read_graph(model), onnx.load(model).graph
    assert graph.inputs == ("images uint8 [batch, 32, 32, 3]",)
    assert graph.outputs == ("logits float32 [batch, 2]", "probabilities float32 [batch, 2]")
    assert graph.operators == dict(sorted(Counter(node.op_type for node in theirs.node).items()))
    assert graph.parameters == sum(numpy_helper.to_array(item).size for item in theirs.initializer)


def test_sizes_of_constants_are_read_packed_or_not(tmp_path: Path) -> None:
    """A TensorProto's dims (field 1) as two varints, and as one packed field: 2 x 300 and 3 numbers."""
    one = b"\x08\x02" + b"\x08\xac\x02" + b"\x10\x01"
    two = b"\x0a\x01\x03" + b"\x10\x01"
    graph = b"".join(b"\x2a" + bytes([len(tensor)]) + tensor for tensor in (one, two))
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08" + b"\x3a" + bytes([len(graph)]) + graph)
    assert read_graph(tmp_path / "a.onnx").parameters == 603


def test_a_model_with_constants_of_many_megabytes_is_read_without_them(tmp_path: Path) -> None:
    model = small_model()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(10_000_000, np.float32), "big"))
    onnx.save(model, tmp_path / "a.onnx")
    tracemalloc.start()
    graph = read_graph(tmp_path / "a.onnx")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert graph.parameters == 10_000_064
    assert peak < 1_000_000


def test_random_changes_give_a_graph_or_a_model_error_and_nothing_else(tmp_path: Path) -> None:
    whole = small_model({"lab.card": "{}"}).SerializeToString()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        content = bytearray(whole)
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        (tmp_path / "a.onnx").write_bytes(content)
        with contextlib.suppress(ModelError):
            read_graph(tmp_path / "a.onnx")
            read_header(tmp_path / "a.onnx")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_an_entry_added_at_the_end_is_read_and_its_place_known(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(small_model({"lab.card": "{}"}), path)
    before = path.read_bytes()
    path.write_bytes(before + metadata_entry("käy", "x" * size))
    header = read_header(path)
    assert header.metadata == {"lab.card": "{}", "käy": "x" * size}
    assert header.starts["käy"] == len(before)
    assert {item.key: item.value for item in onnx.load(path).metadata_props} == header.metadata
