"""A model file that asks for too much, or for code of its own, is refused in one line before a runtime opens it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infer.core.errors import ModelError
from infer.model.graph_limits import DOMAINS, check_limits
from infer.model.seal import check_seal

HUGE = 1 << 40
OVER = (1 << 28) + 1


def save(path: Path, nodes: Sequence[onnx.NodeProto], *tensors: TensorProto, **parts: Any) -> Path:
    """A model with these nodes and constants; its ends are `x` and `y`."""
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])] for name in "xy"]
    graph = helper.make_graph(nodes, "g", *ends, list(tensors), **parts)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def whole(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def claiming(raw: bytes, *shape: int, kind: int = TensorProto.FLOAT) -> TensorProto:
    tensor = TensorProto(name="w", data_type=kind, raw_data=raw)
    tensor.dims.extend(shape)
    return tensor


def node(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["x", *inputs], ["y"], **attributes)


@pytest.mark.parametrize("domain", DOMAINS)
def test_operators_of_onnx_and_of_onnx_runtime_are_accepted(domain: str, tmp_path: Path) -> None:
    check_limits(save(tmp_path / "m.onnx", [node("Conv", "w", domain=domain, pads=[3, 3, 3, 3])], claiming(b"1234", 1)))


def test_operators_of_another_domain_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [node("Relu"), node("Spy", domain="com.evil")])
    with pytest.raises(
        ModelError, match=r"m\.onnx has operators that neither ONNX nor .* defines: com\.evil\.Spy; exp"
    ):
        check_limits(path)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (claiming(b"1234", HUGE), rf"a constant w of shape {HUGE} with 4 bytes of values, which do not fill it"),
        (claiming(b"1234", 1 << 20, 1 << 20, 1 << 20), "a constant w of shape 1048576, 1048576, 1048576"),
        (claiming(b"1234", 2), "shape 2 with 4 bytes"),
        (claiming(b"12345678", 1), "shape 1 with 8 bytes"),
        (claiming(b"", 3), "shape 3 with 0 bytes"),
        (claiming(b"1234", -1), r"shape \d+ with 4 bytes"),
        (claiming(b"1234", 100, kind=TensorProto.FLOAT8E4M3FN), "shape 100 with 4 bytes"),
        (TensorProto(name="w", data_type=TensorProto.INT64, dims=[9], int64_data=[1]), "shape 9 with 1 bytes"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_constant_that_claims_other_values_than_it_has_is_refused(
    tensor: TensorProto, message: str, inside: bool, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor)] if inside else []
    path = save(tmp_path / "m.onnx", [*nodes, node("Add", "w")], *([] if inside else [tensor]))
    with pytest.raises(ModelError, match=message):
        check_limits(path)


@pytest.mark.parametrize(
    "tensor",
    [
        claiming(b"", 0, HUGE),
        claiming(b"12", 3, kind=TensorProto.INT4),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], float_data=[1, 2]),
        TensorProto(name="w", data_type=TensorProto.INT64, dims=[2], int64_data=[1, -1]),
        TensorProto(name="w", data_type=TensorProto.FLOAT16, dims=[2], int32_data=[1, 2]),
    ],
)
def test_a_constant_with_the_values_that_it_claims_is_accepted(tensor: TensorProto, tmp_path: Path) -> None:
    check_limits(save(tmp_path / "m.onnx", [node("Add", "w")], tensor))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([helper.make_node("ConstantOfShape", ["s"], ["y"])], [whole("s", 1 << 14, OVER >> 14, 2)]),
        ([helper.make_node("HannWindow", ["s"], ["y"])], [whole("s", OVER)]),
        ([node("Expand", "s")], [whole("s", OVER, 1)]),
        ([node("Expand", "s")], [helper.make_tensor("s", TensorProto.INT64, [1], [OVER])]),
        ([node("Tile", "s")], [whole("s", 1, 1025)]),
        ([node("Resize", "", "s")], [numpy_helper.from_array(np.float32([1, 1, 1025, 1]), "s")]),
        ([node("Resize", "", "s")], [numpy_helper.from_array(np.float32([1, 1, np.nan, 1]), "s")]),
        ([node("Resize", "", "", "s")], [whole("s", 1, 3, 1 << 14, 1 << 14)]),
        ([node("Pad", "s")], [whole("s", 0, 513, 0, 0)]),
        ([node("Pad", "s")], [numpy_helper.from_array(np.float32([0, np.inf, 0, np.nan]), "s")]),
        ([node("Conv", "w", pads=[513] * 4)], []),
        ([node("ConvTranspose", "w", strides=[32, 33])], []),
        ([helper.make_node("RandomNormal", [], ["y"], shape=[1 << 14, OVER >> 13])], []),
        ([helper.make_node("Range", ["a", "b", "c"], ["y"])], [whole("a", 0), whole("b", OVER), whole("c", 1)]),
        ([helper.make_node("Range", ["a", "b", "c"], ["y"])], [whole("a", 0), whole("b", 9), whole("c", 0)]),
        ([helper.make_node("Constant", [], ["s"], value=whole("", OVER)), node("Expand", "s")], []),
        ([helper.make_node("Constant", [], ["s"], value_ints=[1, OVER]), node("Expand", "s")], []),
    ],
)
def test_an_operator_that_a_constant_asks_for_too_much_is_refused(
    nodes: list[onnx.NodeProto], constants: list[TensorProto], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx asks \w+ for more than 268,435,456 values.*; export it again$"):
        check_limits(save(tmp_path / "m.onnx", nodes, *constants))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Expand", "s")], [whole("s", 64, 3, 224, 224)]),
        ([node("Resize", "", "", "s")], [whole("s", 1, 3, 224, 224)]),
        ([node("Resize", "", "s")], [numpy_helper.from_array(np.float32([1, 1, 32, 32]), "s")]),
        ([node("ConvTranspose", "w", strides=[32, 32])], []),
        ([node("Expand", "x")], []),
        ([node("MaxPool", kernel_shape=[3, 3], pads=[1] * 4)], []),
        ([helper.make_node("Range", ["a", "b", "c"], ["y"])], [whole("a", 0), whole("b", 640), whole("c", 1)]),
    ],
)
def test_sizes_of_an_image_are_accepted(
    nodes: list[onnx.NodeProto], constants: list[TensorProto], tmp_path: Path
) -> None:
    check_limits(save(tmp_path / "m.onnx", nodes, *constants))


def test_graphs_inside_operators_functions_sparse_constants_and_programs_are_refused(tmp_path: Path) -> None:
    inner = helper.make_graph([], "inner", [], [])
    sparse = helper.make_sparse_tensor(claiming(b"1234", 1), whole("i", 0), [4])
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../secret")
    cases = {
        "an operator Loop with a graph": [node("Loop", body=inner)],
        "an operator Constant with a graph or a sparse": [helper.make_node("Constant", [], ["y"], sparse_value=sparse)],
        r"loads compiled programs \(EPContext\)": [node("EPContext", domain="com.microsoft", ep_cache_context="x.bin")],
        "keeps values of Constant in another file": [helper.make_node("Constant", [], ["y"], value=outside)],
    }
    for message, nodes in cases.items():
        with pytest.raises(ModelError, match=message):
            check_limits(save(tmp_path / "m.onnx", nodes))
    with pytest.raises(ModelError, match="has sparse constants"):
        check_limits(save(tmp_path / "m.onnx", [node("Relu")], sparse_initializer=[sparse]))
    model = onnx.load_from_string(save(tmp_path / "m.onnx", [node("Relu")]).read_bytes())
    opset = helper.make_opsetid("", 17)
    model.functions.append(helper.make_function("com.evil", "Spy", ["x"], ["y"], [node("Relu")], [opset]))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="has functions of its own"):
        check_limits(tmp_path / "m.onnx")


def test_a_shape_of_too_many_axes_is_refused_before_it_is_multiplied(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [node("Relu")], claiming(b"", *[1] * 2000))
    with pytest.raises(ModelError, match="is not an ONNX file"):
        check_limits(path)


def test_a_shape_that_lies_in_another_file_counts_too(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [node("Expand", "s")], whole("s", OVER, 1))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(ModelError, match=r"asks Expand for more than 268,435,456 values"):
        check_limits(path)


def test_constants_that_runtimes_may_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    twice = TensorProto(name="s", data_type=TensorProto.INT64, dims=[1], int64_data=[1], raw_data=bytes(8))
    fewer = TensorProto(name="s", data_type=TensorProto.INT64, dims=[2], int64_data=[1])
    tensors = [helper.make_attribute("value", whole("", number)) for number in (1, 2)]
    several = helper.make_node("Constant", [], ["s"])
    several.attribute.extend(tensors)
    for nodes, constants in (
        ([], [twice]),
        ([], [fewer]),
        ([], [whole("s", 1), whole("s", 2)]),
        ([helper.make_node("Constant", [], ["s"], value_int=1)], [whole("s", 2)]),
        ([several], []),
    ):
        path = save(tmp_path / "m.onnx", [*nodes, node("Expand", "s")], *constants)
        with pytest.raises(ModelError, match="is not an ONNX file"):
            check_limits(path)


def test_a_graph_in_two_parts_is_looked_at_as_the_whole_that_it_is(tmp_path: Path) -> None:
    first = save(tmp_path / "a.onnx", [node("Expand", "s")]).read_bytes()
    second = save(tmp_path / "b.onnx", [], whole("s", OVER, 1)).read_bytes()
    (tmp_path / "m.onnx").write_bytes(first + second)
    with pytest.raises(ModelError, match=r"asks Expand for more"):
        check_limits(tmp_path / "m.onnx")


def test_a_file_is_looked_at_also_where_its_seal_is_whole(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger can write evidence too."""
    check_seal(model)
    monkeypatch.setattr("infer.model.graph_limits.DOMAINS", ("com.other",))
    with pytest.raises(ModelError, match="neither ONNX nor ONNX Runtime defines: "):
        check_seal(model)
