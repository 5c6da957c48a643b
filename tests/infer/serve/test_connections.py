"""Connections that send nothing, too little or nonsense cost the server little and come to an end."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.serving import Served, served

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n"


@pytest.fixture(scope="module")
def hasty(model: Path) -> Iterator[Served]:
    with served(model, timeout=0.4) as running:
        yield running


def connect(server: Served) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def answer_to(server: Served, *parts: bytes, pause: float = 0) -> bytes:
    """All that the server sends until it closes the connection."""
    with connect(server) as client:
        received = b""
        try:
            for part in parts:
                client.sendall(part)
                time.sleep(pause)
            while part := client.recv(1 << 16):
                received += part
        except ConnectionError:
            pass
        return received


def test_a_connection_without_a_head_is_closed(hasty: Served) -> None:
    start = time.perf_counter()
    assert answer_to(hasty) == b""
    assert answer_to(hasty, b"GET / HT") == b""
    assert answer_to(hasty, *[b"A"] * 20, pause=0.05) == b""
    assert time.perf_counter() - start < 10


def test_a_body_that_is_not_sent_is_408_and_the_connection_ends(hasty: Served) -> None:
    answer = answer_to(hasty, HEAD + b"\r\n", b"abc")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'{"error":"the request did not arrive within 0.4 s"' in answer


def test_a_client_that_goes_away_leaves_nothing_behind(hasty: Served) -> None:
    for _ in range(5):
        with connect(hasty) as client:
            client.sendall(HEAD + b"\r\nabc")
    assert hasty.client.get("/live").status_code == 200
    time.sleep(0.2)
    assert (hasty.service.admission.images, hasty.service.admission.nbytes) == (0, 0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
    ],
)
def test_what_is_not_http_is_400_in_the_form_of_all_errors(hasty: Served, request_bytes: bytes) -> None:
    answer = answer_to(hasty, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(b'"remedy": "send HTTP/1.1"}')


def test_an_idle_connection_is_closed_after_its_answer(hasty: Served) -> None:
    answer = answer_to(hasty, b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_one_connection_answers_several_requests(hasty: Served) -> None:
    request = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    assert answer_to(hasty, request, request + request).count(b"HTTP/1.1 200") == 3


def test_a_client_that_does_not_read_is_cut_off(hasty: Served) -> None:
    with connect(hasty) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deadline = time.monotonic() + 20
        with contextlib.suppress(ConnectionError):  # once the server has waited long enough
            while time.monotonic() < deadline:
                client.sendall(b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
                time.sleep(0.02)
        assert time.monotonic() < deadline


def test_connections_beyond_the_limit_are_closed_and_the_others_answered(model: Path) -> None:
    with served(model, max_connections=4) as running:
        clients = [connect(running) for _ in range(8)]
        time.sleep(0.3)
        assert running.client.get("/live").status_code == 200  # its connection was there before
        for client in clients:
            client.close()
