"""The routes of the Open Inference Protocol v2, which clients of KServe and Triton speak."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infer.images.tta import COUNTS
from infer.images.upload import Upload
from infer.serve.bodies import MANY_BYTES, open_body, time_to_receive, whole_number
from infer.serve.errors import RequestError
from infer.serve.service import Answer, Service
from infer.serve.tensors import BYTES, FP32, UINT8, InferRequest, Tensor, encode_response, parse_request
from infer.version import __version__

VERSION = "1"
"""The only version of a model that is served."""
FILES, IMAGES = "files", "images"
"""The inputs: encoded image files, or the pixels that the network sees."""
PROBABILITIES, LABELS = "probabilities", "labels"
HEADER_SIZE = "Inference-Header-Content-Length"


def routes(service: Service) -> list[Route]:
    """All routes below /v2."""

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        _require_model(request, service)
        return JSONResponse({"ready": service.is_ready}, 200 if service.is_ready else 503)

    async def server(request: Request) -> Response:
        return JSONResponse({"name": "lab", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def model(request: Request) -> Response:
        _require_model(request, service)
        return JSONResponse(metadata(service))

    async def infer(request: Request) -> Response:
        _require_model(request, service)
        return await _infer(request, service)

    found = [Route("/v2", server), Route("/v2/health/live", live), Route("/v2/health/ready", ready)]
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        found += [Route(path, model), Route(f"{path}/ready", ready), Route(f"{path}/infer", infer, methods=["POST"])]
    return found


def metadata(service: Service) -> dict[str, Any]:
    """The model's inputs and outputs. A request has one of the inputs."""
    inputs = [{"name": FILES, "datatype": BYTES, "shape": [-1]}]
    if _takes_pixels(service):
        inputs.append({"name": IMAGES, "datatype": UINT8, "shape": [-1, *service.engine.card.pixels.window, 3]})
    return {
        "name": service.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": inputs,
        "outputs": [
            {"name": PROBABILITIES, "datatype": FP32, "shape": [-1, len(service.engine.card.classes)]},
            {"name": LABELS, "datatype": BYTES, "shape": [-1]},
        ],
    }


def _takes_pixels(service: Service) -> bool:
    """Whether all models see the same pixels, in one view, so that a client can make them."""
    return len(service.engine.specs) == COUNTS[service.engine.tta] == 1


def _require_model(request: Request, service: Service) -> None:
    """Raises RequestError where the path names another model or version."""
    name, version = request.path_params.get("model"), request.path_params.get("version", VERSION)
    if name not in (None, service.name):
        raise RequestError(404, f"there is no model {name}", f"ask for {service.name}")
    if version != VERSION:
        raise RequestError(404, f"there is no version {version}", f"ask for version {VERSION}, or for none")


async def _infer(request: Request, service: Service) -> Response:
    async with open_body(request, service.config, service.admission) as body:
        async with time_to_receive(service.config.timeout):
            content = await body.content()
        size = _header_size(request)
        if len(content) > MANY_BYTES:
            parsed = await asyncio.to_thread(parse_request, content, size)
        else:
            parsed = parse_request(content, size)
        answers = await _answers(parsed, service)
    body_out, json_size = encode_response(service.name, VERSION, parsed, _outputs(parsed, answers, service))
    if json_size is None:
        return Response(body_out, media_type="application/json")
    return Response(body_out, headers={HEADER_SIZE: str(json_size)}, media_type="application/octet-stream")


def _header_size(request: Request) -> int | None:
    text = request.headers.get(HEADER_SIZE)
    size = None if text is None else whole_number(text)
    if text is not None and size is None:
        raise RequestError(400, f"{HEADER_SIZE} is not a whole number of bytes", "send the length of the JSON")
    return size


async def _answers(request: InferRequest, service: Service) -> list[Answer]:
    """Answer the only input of a request. Raises RequestError."""
    expected = {FILES, IMAGES} if _takes_pixels(service) else {FILES}
    if len(request.inputs) != 1 or not request.inputs.keys() <= expected:
        found = ", ".join(request.inputs) or "none"
        raise RequestError(400, f"the inputs are {found}", f"send one: {' or '.join(sorted(expected))}")
    (tensor,) = request.inputs.values()
    _require_count(tensor, service)
    if tensor.name == FILES and tensor.datatype == BYTES:
        files = [Upload(f"{FILES}[{index}]", content) for index, content in enumerate(tensor.values)]
        answers = await service.predict(files)
    else:
        _require_pixels(tensor, service)
        answers = await service.run(list(tensor.values))
    for answer in answers:
        if answer.error:
            raise RequestError(422, str(answer.error), "leave it out; /v1/predict answers the others")
    return answers


def _require_count(tensor: Tensor, service: Service) -> None:
    count, most = len(tensor.values) if tensor.shape else 0, service.config.max_images
    if count == 0:
        raise RequestError(400, f"{tensor.name} is empty", "send at least one image")
    if count > most:
        raise RequestError(413, f"{tensor.name} has {count} images, more than {most}", "send them in several requests")


def _require_pixels(tensor: Tensor, service: Service) -> None:
    shape = (*service.engine.card.pixels.window, 3)
    if tensor.name != IMAGES or tensor.datatype != UINT8 or tensor.shape[1:] != shape:
        found = f"{tensor.name} is {tensor.datatype} {list(tensor.shape)}"
        raise RequestError(400, found, f"send {IMAGES} as {UINT8} {[-1, *shape]}, or {FILES} as {BYTES} [-1]")


def _outputs(request: InferRequest, answers: Sequence[Answer], service: Service) -> list[Tensor]:
    rows = np.stack([answer.result.probabilities for answer in answers if answer.result])
    labels = [service.engine.card.classes[int(row.argmax())].label for row in rows]
    outputs = {
        PROBABILITIES: Tensor(PROBABILITIES, FP32, rows.shape, rows),
        LABELS: Tensor(LABELS, BYTES, (len(labels),), labels),
    }
    if unknown := request.outputs.keys() - outputs.keys():
        raise RequestError(400, f"there is no output {', '.join(sorted(unknown))}", f"ask for {', '.join(outputs)}")
    return [outputs[name] for name in request.outputs or outputs]
