"""The web application: its routes, who may call them, and the one JSON form of all errors."""

import time
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

import infer.reports
from infer.core.errors import DeviceError, LabError
from infer.core.text import shown
from infer.serve import inference_v2, prediction
from infer.serve.access import SECURITY_HEADERS, require_token
from infer.serve.errors import RequestError, busy, with_remedy
from infer.serve.metrics import CONTENT_TYPE
from infer.serve.service import Service

ASK_ELSEWHERE = "GET /v1/model says what is served; the routes are in docs/serve.md"
PAGE = {
    "/": (__package__, "page.html", "text/html"),
    "/page.css": (__package__, "page.css", "text/css"),
    "/page.js": (__package__, "page.js", "text/javascript"),
    "/backend.js": (__package__, "backend.js", "text/javascript"),
    "/base.css": (infer.reports.__name__, "page.css", "text/css"),  # the look of reports
}
"""The page: for each path the package, the file, and its media type."""


def make_app(service: Service, token: bytes | None, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    """The application of a service.

    Args:
        service: what answers.
        token: which clients must send, or None.
        lifespan: starts and ends the service, where the server does not.
    """
    middleware = [Middleware(Guard, service=service, token=token)]
    if origin := service.config.allow_origin:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=[origin],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", inference_v2.HEADER_SIZE],
            expose_headers=[inference_v2.HEADER_SIZE, "Retry-After"],
        )
        middleware.insert(0, cors)
    return Starlette(
        routes=[*_page_routes(), *_state_routes(service), *prediction.routes(service), *inference_v2.routes(service)],
        middleware=middleware,
        exception_handlers={
            RequestError: _refused,
            HTTPException: _no_route,
            LabError: _failed,
            Exception: _failed,
        },
        lifespan=lifespan,
    )


class Guard:
    """Checks the token, adds the security headers to each response, and measures it."""

    def __init__(self, app: ASGIApp, service: Service, token: bytes | None) -> None:
        self._app, self._metrics, self._token = app, service.metrics, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *SECURITY_HEADERS]}
            await send(message)

        try:
            request = Request(scope, receive)
            require_token(request, self._token)
            await self._app(scope, receive, send_guarded)
        except RequestError as refusal:
            await _refusal_response(refusal)(scope, receive, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, str(status)).observe(time.perf_counter() - start)
            if status >= 400:
                self._metrics.refused.labels(str(status)).inc()


def _page_routes() -> list[Route]:
    return [Route(path, _file(package, name, kind)) for path, (package, name, kind) in PAGE.items()]


def _file(package: str, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files(package).joinpath(name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def _state_routes(service: Service) -> list[Route]:
    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        if not service.is_ready:
            raise busy("the models are not ready yet")
        return JSONResponse({"ready": True})

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)]


def _refusal_response(refusal: RequestError) -> Response:
    return JSONResponse(refusal.to_json(), refusal.status, headers=refusal.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _refusal_response(error)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    method, path = request.method, shown(request.url.path)
    reason = f"{path} does not take {method}" if error.status_code == 405 else f"{method} {path}: {error.detail}"
    refusal = RequestError(error.status_code, reason, ASK_ELSEWHERE, error.headers)
    return _refusal_response(refusal)


async def _failed(request: Request, error: Exception) -> Response:
    """An error of the server: exhausted memory may pass, all else does not."""
    if isinstance(error, LabError):
        reason, remedy = with_remedy(str(error), "look at the server's output")
        status = 503 if isinstance(error, DeviceError) else 500
        return _refusal_response(RequestError(status, reason, remedy, {"Retry-After": "1"} if status == 503 else {}))
    return _refusal_response(RequestError(500, "the server failed", "look at the server's output"))
