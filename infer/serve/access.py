"""Who may call the service: a bearer token, compared in constant time, and the headers that protect the page."""

import hmac
from pathlib import Path

from starlette.requests import Request

from infer.core.errors import ConfigError
from infer.serve.errors import RequestError

SHORTEST_TOKEN = 16
OPEN_PATHS = ("/", "/page.html", "/page.css", "/page.js", "/backend.js", "/base.css", "/live", "/ready")
"""Without a token: the page, which holds no data, and what a supervisor asks."""
OPEN_PREFIX = "/v2/health/"
SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Of every response: the page loads nothing from elsewhere, and answers about images are kept nowhere."""


def read_token(path: Path) -> bytes:
    """The token in a file, without the white space around it. Raises ConfigError."""
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"cannot read --token-file {path}: {error.strerror or error}; check the path") from error
    if len(token) < SHORTEST_TOKEN or len(token.split()) != 1:
        raise ConfigError(
            f"--token-file {path} must hold one token of at least {SHORTEST_TOKEN} characters; make one with "
            "openssl rand -hex 32"
        )
    return token


def require_token(request: Request, token: bytes | None) -> None:
    """Raises RequestError where a token is needed, and the request has another or none."""
    path = request.url.path
    if token is None or path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
        return
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent.strip().encode("utf-8", "surrogateescape"), token):
        raise RequestError(
            401,
            "the token is missing or wrong",
            "send it as Authorization: Bearer TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )
