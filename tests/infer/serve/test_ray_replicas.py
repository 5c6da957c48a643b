"""`--engine ray` has the routes, answers and end of `lab serve` on one machine; what it cannot do is one line."""

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from helpers.serving import config_for, form, served, wait_until_ready
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from infer.core.console import SILENT, Screen
from infer.core.errors import ConfigError
from infer.pipeline.ray_cluster import Pool
from infer.serve import ray_replicas
from infer.serve.ray_replicas import NO_RELOAD, serve_on_ray


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.long
def test_replicas_answer_as_one_machine_does_and_answer_what_they_accepted_before_they_end(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install '.[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ended, port, said = threading.Event(), free_port(), StringIO()

    @contextlib.contextmanager
    def ended_here(_: Screen) -> Iterator[threading.Event]:
        yield ended

    monkeypatch.setattr(ray_replicas, "_ended_by_signals", ended_here)

    def ask() -> list[object]:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client, ThreadPoolExecutor(1) as late:
                wait_until_ready(client)
                asked = [answers(client, images), client.get("/metrics").text]
                accepted = late.submit(client.post, "/v1/predict", files=form(images[0]))
                while not re.search(r'lab_queue_images{replica=".*"} 1\.0', client.get("/metrics").text):
                    time.sleep(0.02)
                ended.set()
                return [*asked, accepted.result(60)]
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as client:
        asking = client.submit(ask)
        config = config_for(model, engine="ray", max_delay=1000, max_batch=3)
        serve_on_ray(config, port, None, Screen(Console(file=said, width=200)))
        from_replicas, metrics, accepted = asking.result(60)
    with served(model, max_batch=3) as running:
        assert from_replicas == answers(running.client, images)
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    samples = [item for item in families["lab_images"].samples if item.name == "lab_images_total"]
    assert {item.labels["outcome"]: item.value for item in samples} == {"predicted": 6, "unreadable": 1}
    assert (accepted.status_code, len(accepted.json()["predictions"])) == (200, 1)
    assert f"ready: http://127.0.0.1:{port}, " in said.getvalue()
    assert "Ray's workers, each with CPUExecutionProvider" in said.getvalue()
    assert capfd.readouterr() == ("", "")


def answers(client: httpx.Client, images: list[Path]) -> list[object]:
    """The answers to requests of each kind, without what differs from server to server."""
    named = [("images", ("bad.png", b"no image"))]
    responses = [
        client.post("/v1/predict", files=form(*images[:3])),
        client.post("/v1/predict", files=form(*images[3:6]) + named),
        client.post("/v1/predict", content=b"x", headers={"content-type": "text/plain"}),
        client.get("/v1/model"),
        client.get("/v2/models/model"),
        client.get("/"),
        client.get("/nothing"),
    ]
    security = ("content-security-policy", "cache-control")
    return [(item.status_code, item.content, *(item.headers[name] for name in security)) for item in responses]


def test_an_error_of_a_replica_is_the_last_line_of_ray_serves_report(monkeypatch: pytest.MonkeyPatch) -> None:
    serve = pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install '.[ray]'")
    report = "It failed. Error:\n  File x\ninfer.core.errors.ModelError: a.onnx: is damaged; export it again"
    application = SimpleNamespace(deployments={"lab": SimpleNamespace(message=report)})
    monkeypatch.setattr(serve, "status", lambda: SimpleNamespace(applications={"lab": application}))
    assert ray_replicas._reason(RuntimeError("it failed")) == "a.onnx: is damaged; export it again"
    monkeypatch.setattr(serve, "status", lambda: SimpleNamespace(applications={}))
    assert ray_replicas._reason(RuntimeError("much\nport 8000 is taken")) == "port 8000 is taken"


def test_a_cluster_on_which_ray_serve_runs_is_left_alone(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    serve = pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install '.[ray]'")
    ended: list[str] = []
    monkeypatch.setattr(ray_replicas, "start_pool", lambda _: Pool(1, 1, 0))
    monkeypatch.setattr(serve, "status", lambda: SimpleNamespace(proxies={"node": "HEALTHY"}))
    monkeypatch.setattr(serve, "shutdown", lambda: ended.append("Serve"))
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append("Ray"))
    with pytest.raises(ConfigError, match=r"runs on this cluster already, .* end it with serve shutdown"):
        serve_on_ray(config_for(model, engine="ray"), 1, None, SILENT)
    assert ended == ["Ray"]


def test_a_missing_package_is_named_with_its_remedy(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.serve", None)
    ran = lab("serve", "a.onnx", "--engine", "ray", "--port", "0")
    assert ran.code == 1
    assert "--engine ray needs ray.serve, which is not installed; run pip install '.[ray]' in lab's folder" in ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_signals_end_it_and_a_second_one_acts_as_ever_and_sighup_is_answered() -> None:
    said, second = StringIO(), []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, lambda *_: second.append(True))
    try:
        with ray_replicas._ended_by_signals(Screen(Console(file=said, width=200))) as ended:
            os.kill(os.getpid(), signal.SIGHUP)
            assert said.getvalue() == f"{NO_RELOAD}\n"
            assert not ended.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert ended.wait(5)
            assert second == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert second == [True]
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])
    assert signal.getsignal(signal.SIGHUP) == before[signal.SIGHUP]
