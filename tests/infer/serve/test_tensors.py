"""Tensors of the Open Inference Protocol, as its specification has them; test_inference_v2 uses a public client."""

import base64
import json

import numpy as np
import pytest

from infer.serve.errors import RequestError
from infer.serve.tensors import InferRequest, Tensor, encode_response, parse_request

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)


def json_body(*inputs: dict[str, object], **more: object) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def entry(**changes: object) -> dict[str, object]:
    return {"name": "images", "datatype": "UINT8", "shape": list(PIXELS.shape), "data": PIXELS.tolist(), **changes}


LENGTH_IS_TRUE = json_body(entry(shape=[1], parameters={"binary_data_size": True}))


def test_flat_nested_and_binary_numbers_are_the_same() -> None:
    header = json_body(entry(parameters={"binary_data_size": PIXELS.nbytes}))
    requests = (
        parse_request(json_body(entry()), None),
        parse_request(json_body(entry(data=PIXELS.ravel().tolist())), None),
        parse_request(header + PIXELS.tobytes(), len(header)),
    )
    for request in requests:
        tensor = request.inputs["images"]
        assert (tensor.shape, tensor.datatype) == (PIXELS.shape, "UINT8")
        assert np.array_equal(tensor.values, PIXELS)


def test_bytes_are_base64_in_json_and_have_their_length_in_binary() -> None:
    elements = [b"", b"\x00\xffab"]
    text = [base64.b64encode(item).decode() for item in elements]
    files = entry(name="files", datatype="BYTES", shape=[2], data=text)
    assert parse_request(json_body(files), None).inputs["files"].values == elements
    binary = b"\0\0\0\0" + b"\4\0\0\0\x00\xffab"
    header = json_body({**files, "parameters": {"binary_data_size": len(binary)}})
    assert parse_request(header + binary, len(header)).inputs["files"].values == elements


@pytest.mark.parametrize(
    ("body", "size", "reason"),
    [
        (b"[]", None, "no list of inputs"),
        (b"{}", 3, "the body has 2 bytes"),
        (json_body(entry()), -1, "the body has"),
        (json_body("x"), None, "not an object"),
        (json_body(entry(shape=[2, 2, 2, 4])), None, "does not fit"),
        (json_body(entry(shape=[-1])), None, "not a list of whole numbers"),
        (json_body(entry(shape=[True])), None, "not a list of whole numbers"),
        (json_body(entry(shape=[1] * 9)), None, "9 axes"),
        (json_body(entry(shape=[10**30])), None, "whole numbers up to"),
        (json_body(entry(data=[[1], [2, 3]])), None, "does not fit"),
        (json_body(entry(data=[0.5] * 24)), None, "no whole numbers from 0 to 255"),
        (json_body(entry(data=[256] * 24)), None, "no whole numbers from 0 to 255"),
        (json_body(entry(data=[-1] * 24)), None, "no whole numbers from 0 to 255"),
        (json_body(entry(data=None)), None, "has no data"),
        (json_body(entry(datatype="FP64")), None, "is FP64"),
        (json_body(entry(parameters={"binary_data_size": 9})), None, "9 binary bytes"),
        (LENGTH_IS_TRUE + b"\0", len(LENGTH_IS_TRUE), "True binary bytes"),
        (json_body(entry(parameters=[1])), None, "parameters are not an object"),
        (json_body(entry(datatype="BYTES", shape=[1], data=[1])), None, "not texts"),
        (json_body(entry(datatype="BYTES", shape=[2], data=["QQ=="])), None, "1 elements"),
        (json_body(entry(), outputs=["x"]), None, "outputs are not"),
    ],
)
def test_a_request_that_is_not_as_the_protocol_says_is_400(body: bytes, size: int | None, reason: str) -> None:
    with pytest.raises(RequestError, match=r"400") as refused:
        parse_request(body, size)
    assert refused.value.status == 400
    assert reason in refused.value.reason


def test_binary_tensors_must_end_where_they_say() -> None:
    header = json_body(entry(name="files", datatype="BYTES", shape=[1], parameters={"binary_data_size": 6}))
    for binary in (b"\xff\xff\xff\xffab", b"\2\0\0\0abc"):
        with pytest.raises(RequestError):
            parse_request(header + binary, len(header))


def test_outputs_are_binary_where_the_request_says_so() -> None:
    rows = np.array([[0.25, 0.75]], dtype=np.float32)
    outputs = [Tensor("p", "FP32", (1, 2), rows), Tensor("l", "BYTES", (1,), ["é"])]
    body, size = encode_response("m", "1", InferRequest("7", {}, {}, False), outputs)
    assert size is None
    assert json.loads(body) == {
        "model_name": "m",
        "model_version": "1",
        "id": "7",
        "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]},
            {"name": "l", "datatype": "BYTES", "shape": [1], "data": ["é"]},
        ],
    }
    body, size = encode_response("m", "1", InferRequest("", {}, {"p": False, "l": True}, False), outputs)
    assert size is not None
    assert body[size:] == b"\2\0\0\0" + "é".encode()
    body, size = encode_response("m", "1", InferRequest("", {}, {}, True), outputs)
    assert size is not None
    assert body[size:] == rows.tobytes() + b"\2\0\0\0" + "é".encode()


@pytest.mark.parametrize("datatype", ["BYTES", "UINT8"])
def test_a_shape_of_numbers_of_thousands_of_digits_is_400(datatype: str) -> None:
    body = json_body(entry(datatype=datatype, shape=[10**4000] * 2, data=["AA=="]))
    with pytest.raises(RequestError) as error:
        parse_request(body, None)
    assert error.value.status == 400
