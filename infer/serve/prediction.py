"""The routes below /v1: what the model is, and predictions of images, as JSON."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infer.core.arrays import Floats, Pixels
from infer.core.text import shown
from infer.images.tta import averaging_text
from infer.model.card import ClassName
from infer.reports.provenance import Origin, intended_use, model_card
from infer.serve.bodies import open_body, read_uploads
from infer.serve.engine import Engine
from infer.serve.errors import RequestError
from infer.serve.service import Answer, Service
from infer.version import __version__

REPAIR = "send an image that a viewer can open"
YES = ("1", "true", "yes")


def routes(service: Service) -> list[Route]:
    """All routes below /v1."""

    async def model(request: Request) -> Response:
        return JSONResponse(describe(service))

    async def predict(request: Request) -> Response:
        heatmap = request.query_params.get("heatmap", "").lower() in YES
        if heatmap and not service.engine.has_heatmaps:
            raise RequestError(400, "the model has no heat maps", "leave heatmap out, or export with --cam")
        async with open_body(request, service.config, service.admission) as body:
            uploads = await read_uploads(body)
            engine = service.engine
            answers = await service.predict(uploads, heatmap)
        return _response(engine, answers)

    return [Route("/v1/model", model), Route("/v1/predict", predict, methods=["POST"])]


def describe(service: Service) -> dict[str, Any]:
    """What is served, for programs and for the page."""
    engine, config = service.engine, service.config
    card = engine.card
    return {
        "name": service.name,
        "lab": __version__,
        "models": _models(engine),
        "classes": [{"label": item.label, "name": item.name} for item in card.classes],
        "threshold": _threshold(engine),
        "heatmaps": engine.has_heatmaps,
        "limits": {"images": config.max_images, "megabytes": config.max_megabytes},
        "facts": [{"name": name, "value": value} for name, value in _facts(engine)],
        "intended_use": intended_use(card),
    }


def _models(engine: Engine) -> list[dict[str, str]]:
    return [
        {
            "file": session.path.name,
            "sha256": sha256,
            "architecture": session.card.architecture,
            "precision": session.card.precision,
        }
        for session, sha256 in zip(engine.sessions, engine.sha256, strict=True)
    ]


def _facts(engine: Engine) -> list[tuple[str, str]]:
    averaged = averaging_text(len(engine.sessions), engine.tta)
    facts = model_card(Origin(card=engine.card, model=engine.files[0], averaged=averaged))
    return [*facts, ("trained on", engine.card.trained_on), ("file, sha256", ", ".join(engine.sha256))]


def _threshold(engine: Engine) -> dict[str, Any] | None:
    """The card's threshold, and the class that it decides on."""
    point = engine.threshold
    if point is None:
        return None
    return {"label": engine.card.classes[1].label, "probability": point.threshold}


def _response(engine: Engine, answers: Sequence[Answer]) -> Response:
    """200 with an entry for each image; 422 where none of them can be read."""
    content: dict[str, Any] = {
        "models": _models(engine),
        "threshold": _threshold(engine),
        "predictions": [_prediction(engine, answer) for answer in answers],
    }
    if all(answer.error for answer in answers):
        first = answers[0].error
        reason = str(first) if len(answers) == 1 else f"none of the {len(answers)} images can be read: {first}"
        return JSONResponse({"error": shown(reason), "remedy": REPAIR, **content}, 422)
    return JSONResponse(content)


def _prediction(engine: Engine, answer: Answer) -> dict[str, Any]:
    if answer.result is None:
        reason = answer.error.reason if answer.error else "no result"
        return {"name": answer.name, "error": shown(reason), "remedy": REPAIR}
    classes, probabilities = engine.card.classes, answer.result.probabilities
    best = classes[int(probabilities.argmax())]
    entry: dict[str, Any] = {
        "name": answer.name,
        "label": best.label,
        "class": best.name,
        "probabilities": _by_label(classes, probabilities),
    }
    if point := engine.threshold:
        entry["positive"] = bool(probabilities[1] >= point.threshold)
    if answer.result.heatmap is not None and answer.view is not None:
        entry["heatmap"] = {"shape": answer.result.heatmap.shape, "values": answer.result.heatmap.ravel().tolist()}
        entry["view"] = base64.b64encode(_png(answer.view)).decode("ascii")
    return entry


def _by_label(classes: Sequence[ClassName], probabilities: Floats) -> dict[str, float]:
    """Each float32 as the double of the same value, which JSON keeps."""
    return {item.label: value for item, value in zip(classes, probabilities.tolist(), strict=True)}


def _png(view: Pixels) -> bytes:
    content = io.BytesIO()
    Image.fromarray(view).save(content, "PNG", compress_level=1)
    return content.getvalue()
