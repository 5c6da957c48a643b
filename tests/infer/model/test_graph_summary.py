"""A summary of a graph shows what differs between two files, and nothing where only names or the encoding do."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_files import small_model
from onnx import TensorProto, helper, numpy_helper

from infer.model.graph_summary import constant_digests, describe_changes, precision_of, summarize, weight_bytes
from infer.model.onnx_reader import TYPES, read_graph

LEGACY = Path(__file__).parents[2] / "data" / "legacy" / "finished"


def saved(path: Path, *tensors: onnx.TensorProto) -> Path:
    """A small model with these constants in place of its own."""
    model = small_model({"lab.card": "{}"})
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    onnx.save(model, path)
    return path


def summary_of(path: Path, model: onnx.ModelProto) -> dict:
    onnx.save(model, path)
    return summarize(path, "lab.evidence")


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8"])
def test_the_precision_of_labs_own_files_is_read_from_their_graphs(name: str) -> None:
    assert precision_of(read_graph(LEGACY / f"{name}.onnx")) == name


@pytest.mark.parametrize("kind", ["float32", "float16", "int8", "uint8", "int32", "int64", "bool"])
def test_a_constants_digest_follows_from_its_values_and_not_from_its_name_or_encoding(
    kind: str, tmp_path: Path
) -> None:
    values = np.array([[0, 1], [1, 3]]).astype(kind)
    (code,) = [code for code, name in TYPES.items() if name == kind]
    raw = numpy_helper.from_array(values, "a")
    typed = helper.make_tensor("other", code, values.shape, values.flatten().tolist())
    assert typed.raw_data == b""
    digests = [
        constant_digests(path, read_graph(path))
        for path in (saved(tmp_path / "a.onnx", raw), saved(tmp_path / "b.onnx", typed))
    ]
    assert digests[0] == digests[1]
    path = saved(tmp_path / "c.onnx", numpy_helper.from_array(values.reshape(4), "a"))
    assert constant_digests(path, read_graph(path)) != digests[0]


def test_negative_numbers_have_the_same_digest_in_either_encoding(tmp_path: Path) -> None:
    for kind, code in (("int8", TensorProto.INT8), ("int64", TensorProto.INT64), ("int32", TensorProto.INT32)):
        values = np.array([-1, -100, 7]).astype(kind)
        paths = (
            saved(tmp_path / "a.onnx", numpy_helper.from_array(values, "a")),
            saved(tmp_path / "b.onnx", helper.make_tensor("a", code, [3], values.tolist())),
        )
        first, second = (constant_digests(path, read_graph(path)) for path in paths)
        assert first == second


def test_bytes_of_weights_are_counted_by_type_also_outside_the_file(tmp_path: Path) -> None:
    half = numpy_helper.from_array(np.zeros((3, 5), np.float16), "h")
    path = saved(tmp_path / "a.onnx", numpy_helper.from_array(np.zeros(7, np.float32), "f"), half)
    assert weight_bytes(read_graph(path)) == {"float16": 30, "float32": 28}
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w", size_threshold=0)
    assert weight_bytes(read_graph(path)) == {"float16": 30, "float32": 28}


def test_the_same_model_has_no_changes(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "a.onnx", small_model({"lab.card": "{}"}))
    assert describe_changes(summary, summary_of(tmp_path / "b.onnx", small_model({"lab.card": "{}"}))) == []


def test_every_part_that_differs_is_named(tmp_path: Path) -> None:
    before = summary_of(tmp_path / "a.onnx", small_model({"lab.card": "{}", "old": ""}))
    model = small_model({"lab.card": "[]", "new": ""})
    model.opset_import[0].version, model.producer_name, model.ir_version = 19, "other", 9
    model.opset_import.append(helper.make_opsetid("ai.example", 1))
    model.graph.node[0].op_type = "Sub"
    model.graph.input[0].name = model.graph.node[0].input[0] = "z"
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full(64, 2, np.float32), "w"))
    now = summary_of(tmp_path / "b.onnx", model)
    assert describe_changes(before, now) == [
        "opset 17 -> 19",
        "operator domains added: ai.example",
        "inputs x float32 [64] -> z float32 [64]",
        "producer lab -> other",
        "ir version 8 -> 9",
        "operators -1 Add, +1 Sub",
        "1 of 1 constants changed or removed, 1 of 1 new",
        "metadata added: new",
        "metadata removed: old",
        "metadata changed: lab.card",
    ]


def test_an_attribute_alone_is_a_change_and_inferred_shapes_are_none(tmp_path: Path) -> None:
    before = summary_of(tmp_path / "a.onnx", small_model())
    model = small_model()
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [64]))
    model.graph.doc_string = "note"
    assert describe_changes(before, summary_of(tmp_path / "b.onnx", model)) == []
    model.graph.node[0].attribute.append(helper.make_attribute("axis", 1))
    assert describe_changes(before, summary_of(tmp_path / "b.onnx", model)) == ["names or attributes of nodes"]


def test_constants_that_are_only_added_are_not_called_changed(tmp_path: Path) -> None:
    tensors = [numpy_helper.from_array(np.full(3, number, np.float32), str(number)) for number in range(3)]
    (one, more) = (summarize(saved(tmp_path / "a.onnx", *tensors[:count]), "lab.evidence") for count in (2, 3))
    assert describe_changes(one, more) == ["1 of 3 constants new"]
    assert describe_changes(more, one) == ["1 of 3 constants changed or removed, 0 of 2 new"]


def test_what_an_older_summary_lacks_is_not_compared(tmp_path: Path) -> None:
    now = summary_of(tmp_path / "a.onnx", small_model())
    assert describe_changes({}, now) == []
    assert describe_changes({"opsets": {"": 13}}, now) == ["opset 13 -> 17", "operator domains added: com.microsoft"]
