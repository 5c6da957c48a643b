"""Operators are read with their inputs and the whole numbers of their attributes, as onnx reads them."""

import io
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper, numpy_helper

from infer.core.errors import ModelError
from infer.model.graph_nodes import MOST_NUMBERS, Node, read_node, signed


def read(node: NodeProto) -> Node:
    whole = node.SerializeToString()
    return read_node(Path("m.onnx"), io.BytesIO(whole), range(len(whole)))


def test_a_node_is_what_onnx_wrote() -> None:
    node = read(helper.make_node("Conv", ["x", "", "w"], ["y", "z"], domain="d", pads=[1, -2], group=3, mode="text"))
    assert (node.operator, node.domain, node.inputs, node.outputs) == ("Conv", "d", ["x", "", "w"], ["y", "z"])
    assert node.numbers == {"pads": [1, -2], "group": [3], "mode": []}
    assert node.tensors == []


def test_tensors_are_read_without_their_values() -> None:
    tensor = numpy_helper.from_array(np.zeros((2, 3), np.float32), "t")
    (found,) = read(helper.make_node("Constant", [], ["y"], value=tensor)).tensors
    assert (found.name, found.dtype, found.shape) == ("t", "float32", (2, 3))


def test_an_attribute_that_comes_twice_has_the_numbers_of_both() -> None:
    node = helper.make_node("Conv", ["x"], ["y"], pads=[1])
    node.attribute.append(helper.make_attribute("pads", [2]))
    assert read(node).numbers == {"pads": [1, 2]}


def test_a_graph_inside_is_refused_and_too_many_packed_numbers() -> None:
    inner = helper.make_graph([], "inner", [], [])
    with pytest.raises(ModelError, match=r"m\.onnx has an operator Scan with a graph"):
        read(helper.make_node("Scan", ["x"], ["y"], body=inner))
    packed = bytes([8 << 3 | 2]) + b"\x80\x80\x80\x01" + bytes(1 << 21)
    assert 10 * MOST_NUMBERS < 1 << 21
    attribute = bytes([5 << 3 | 2]) + b"\x85\x80\x80\x01" + packed
    with pytest.raises(ValueError, match="more than 65536 numbers"):
        read_node(Path("m.onnx"), io.BytesIO(attribute), range(len(attribute)))


def test_a_number_of_64_bits_has_its_sign() -> None:
    assert [signed(number) for number in (0, 5, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)] == [
        0,
        5,
        (1 << 63) - 1,
        -(1 << 63),
        -1,
    ]
