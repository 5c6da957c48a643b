"""A token is needed where one is set, but for the page and the health of the server."""

from pathlib import Path

import pytest
from starlette.requests import Request

from infer.core.errors import ConfigError
from infer.serve.access import read_token, require_token
from infer.serve.errors import RequestError

TOKEN = b"0123456789abcdef"


def request_to(path: str, **headers: str) -> Request:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": path, "headers": sent, "query_string": b""})


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer wrong", "Basic 0123456789abcdef", "Bearer 0123456789abcdef0", "é"]
)
def test_another_token_or_none_is_refused(sent: str) -> None:
    for path in ("/v1/predict", "/v1/model", "/metrics", "/v2", "/v2/models/m/infer"):
        with pytest.raises(RequestError) as refused:
            require_token(request_to(path, authorization=sent), TOKEN)
        assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


def test_the_right_token_opens_all_and_without_a_token_all_is_open() -> None:
    require_token(request_to("/v1/predict", authorization="bearer 0123456789abcdef"), TOKEN)
    require_token(request_to("/v1/predict"), None)
    for path in ("/", "/page.js", "/live", "/ready", "/v2/health/ready"):
        require_token(request_to(path), TOKEN)


def test_a_token_is_read_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b" " + TOKEN + b"\r\n")
    assert read_token(tmp_path / "token") == TOKEN


@pytest.mark.parametrize("content", [b"", b"short", b"two words that are long enough"])
def test_a_token_that_protects_little_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match="at least 16 characters"):
        read_token(tmp_path / "token")
    with pytest.raises(ConfigError, match="cannot read --token-file"):
        read_token(tmp_path / "missing")
