"""Tensors of the Open Inference Protocol v2, in JSON and in its binary extension.

https://github.com/kserve/open-inference-protocol and Triton's docs/protocol/extension_binary_data.md.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.parse import is_whole
from infer.serve.bodies import decode_base64, read_json
from infer.serve.errors import RequestError

FORM = "see https://github.com/kserve/open-inference-protocol for the form of a request"
UINT8, FP32, BYTES = "UINT8", "FP32", "BYTES"
LENGTH = 4
"""Bytes before each element of a binary BYTES tensor: its length, little-endian."""
MOST_AXES = 8
LONGEST_SIDE = 2**31
"""More than a body holds; Python refuses to write the product of sides of thousands of digits in a message."""

Values = NDArray[np.uint8] | list[bytes]
"""UINT8 in its shape, or the elements of BYTES."""


@dataclass(frozen=True)
class Tensor:
    """An input of a request, or an output of a response."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any
    """An array of the shape, or a list of texts or bytes."""


@dataclass(frozen=True)
class InferRequest:
    """A request for inference."""

    id: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, bool]
    """The wanted outputs, and whether each is to be binary; empty where the request names none: all are wanted."""
    binary: bool
    """Whether outputs are binary where the request does not say so of each."""


def parse_request(body: bytes, header_size: int | None) -> InferRequest:
    """Read a request.

    Args:
        body: JSON, followed by the binary tensors.
        header_size: the length of the JSON, by the header Inference-Header-Content-Length; None: all is JSON.

    Raises:
        RequestError: 400, it is not as the protocol says.
    """
    size = len(body) if header_size is None else header_size
    if not 0 <= size <= len(body):
        raise RequestError(400, f"Inference-Header-Content-Length is {size}, the body has {len(body)} bytes", FORM)
    content, binary = read_json(body[:size]), memoryview(body)[size:]
    if not isinstance(content, dict) or not isinstance(content.get("inputs"), list):
        raise RequestError(400, "the request has no list of inputs", FORM)
    inputs: dict[str, Tensor] = {}
    for item in content["inputs"]:
        length = _parameters(item).get("binary_data_size")
        if length is None:
            tensor = _tensor(item, None)
        else:
            if not is_whole(length) or not 0 <= length <= len(binary):
                raise RequestError(400, f"a tensor has {length} binary bytes, the body has {len(binary)} for it", FORM)
            tensor, binary = _tensor(item, binary[:length]), binary[length:]
        inputs[tensor.name] = tensor
    if len(binary):
        raise RequestError(400, f"{len(binary)} bytes follow the last tensor", FORM)
    return InferRequest(
        id=str(content.get("id", "")),
        inputs=inputs,
        outputs=_outputs(content.get("outputs") or []),
        binary=_parameters(content).get("binary_data_output") is True,
    )


def encode_response(
    model: str, version: str, request: InferRequest, outputs: Sequence[Tensor]
) -> tuple[bytes, int | None]:
    """The body of a response, and the size of its JSON where binary tensors follow it."""
    described, binary = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if request.outputs.get(tensor.name, request.binary):
            content = _to_binary(tensor)
            binary.append(content)
            entry["parameters"] = {"binary_data_size": len(content)}
        else:
            entry["data"] = np.asarray(tensor.values).ravel().tolist()
        described.append(entry)
    answer = {"model_name": model, "model_version": version, "outputs": described}
    if request.id:
        answer["id"] = request.id
    header = json.dumps(answer, allow_nan=False).encode()
    return b"".join([header, *binary]), len(header) if binary else None


def _outputs(items: Any) -> dict[str, bool]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RequestError(400, "the outputs are not a list of objects", FORM)
    return {str(item.get("name")): _parameters(item).get("binary_data") is True for item in items}


def _parameters(item: Any) -> dict[str, Any]:
    parameters = item.get("parameters", {}) if isinstance(item, dict) else {}
    if not isinstance(parameters, dict):
        raise RequestError(400, "parameters are not an object", FORM)
    return parameters


def _tensor(item: Any, binary: memoryview | None) -> Tensor:
    """An input, from its JSON and, where they are not in it, its bytes. Raises RequestError."""
    if not isinstance(item, dict):
        raise RequestError(400, "an input is not an object", FORM)
    name, datatype, shape = str(item.get("name")), item.get("datatype"), item.get("shape")
    if not isinstance(shape, list) or not all(is_whole(side) and 0 <= side <= LONGEST_SIDE for side in shape):
        raise RequestError(400, f"the shape of {name} is not a list of whole numbers up to {LONGEST_SIDE}", FORM)
    if len(shape) > MOST_AXES:
        raise RequestError(400, f"{name} has {len(shape)} axes", FORM)
    if binary is None and not isinstance(item.get("data"), list):
        raise RequestError(400, f"{name} has no data", FORM)
    if datatype == UINT8:
        values: Values = _numbers(name, shape, item["data"] if binary is None else binary)
    elif datatype == BYTES:
        values = _elements(name, item["data"]) if binary is None else _split(name, binary)
        if len(values) != math.prod(shape):
            raise RequestError(
                400, f"{name} has {len(values)} elements, its shape {shape} means {math.prod(shape)}", FORM
            )
    else:
        raise RequestError(400, f"{name} is {datatype}", f"send {UINT8} or {BYTES}")
    return Tensor(name, datatype, tuple(shape), values)


def _numbers(name: str, shape: Sequence[int], data: list[Any] | memoryview) -> NDArray[np.uint8]:
    try:
        if isinstance(data, memoryview):
            return np.frombuffer(data, np.uint8).reshape(shape)
        values = np.asarray(data)
        if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255):
            raise ValueError("it has values that are no whole numbers from 0 to 255")
        return values.astype(np.uint8).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise RequestError(400, f"{name} does not fit its shape or type: {error}", FORM) from None


def _elements(name: str, data: list[Any]) -> list[bytes]:
    """BYTES in JSON, which has no bytes: base64."""
    if not all(isinstance(item, str) for item in data):
        raise RequestError(400, f"{name} has elements that are not texts", "send base64, or the binary extension")
    return [decode_base64(item, f"element {number} of {name}") for number, item in enumerate(data)]


def _split(name: str, binary: memoryview) -> list[bytes]:
    elements, at = [], 0
    while at < len(binary):
        size = int.from_bytes(binary[at : at + LENGTH], "little")
        at += LENGTH
        if at + size > len(binary):
            raise RequestError(400, f"an element of {name} has {size} bytes, but fewer follow", FORM)
        elements.append(bytes(binary[at : at + size]))
        at += size
    return elements


def _to_binary(tensor: Tensor) -> bytes:
    if tensor.datatype == BYTES:
        encoded = [str(value).encode() for value in tensor.values]
        return b"".join(len(value).to_bytes(LENGTH, "little") + value for value in encoded)
    content: bytes = np.ascontiguousarray(tensor.values).tobytes()
    return content
