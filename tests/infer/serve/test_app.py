"""Every response has the headers that protect the page, and every error the one form."""

from pathlib import Path

import pytest
from helpers.serving import Served, form, served

from infer.serve.app import PAGE
from infer.serve.engine import Engine


def test_what_is_not_there_or_takes_another_method_is_an_error_in_json(server: Served) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/v1/predict", 405), ("POST", "/ready", 405)):
        response = server.client.request(method, path)
        assert response.status_code == status
        assert set(response.json()) == {"error", "remedy"}
    assert server.client.get("/v1/predict").headers["allow"] == "POST"


def test_the_page_may_load_nothing_from_elsewhere(server: Served) -> None:
    for path in (*PAGE, "/v1/model", "/nothing"):
        response = server.client.get(path)
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in response.headers


def test_the_files_of_the_page_are_served_with_their_types(server: Served) -> None:
    for path, (_, _, kind) in PAGE.items():
        response = server.client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)


def test_a_token_is_asked_for_before_a_body_is_read(model: Path, images: list[Path]) -> None:
    with served(model, token=b"0123456789abcdef") as running:
        response = running.client.post("/v1/predict", files=form(images[0]))
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        allowed = {"Authorization": "Bearer 0123456789abcdef"}
        assert running.client.post("/v1/predict", files=form(images[0]), headers=allowed).status_code == 200
        assert running.client.get("/").status_code == running.client.get("/live").status_code == 200
        assert running.client.get("/metrics").status_code == 401


def test_another_origin_may_call_only_where_it_was_named(model: Path, images: list[Path]) -> None:
    with served(model, allow_origin="https://a.example") as running:
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            response = running.client.post("/v1/predict", files=form(images[0]), headers={"Origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed


def test_an_error_of_the_server_tells_clients_nothing(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    with served(model) as running:
        monkeypatch.setattr(Engine, "run", fail)
        response = running.client.post("/v1/predict", files=form(images[0]))
        assert response.status_code == 500
        assert response.json() == {"error": "the server failed", "remedy": "look at the server's output"}


def test_requests_are_measured_by_route_and_status(server: Served) -> None:
    server.client.get("/v2/models/nobody")
    text = server.client.get("/metrics").text
    assert 'lab_request_seconds_count{route="/v2/models/{model}",status="404"}' in text
    assert "nobody" not in text
