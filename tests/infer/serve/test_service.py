"""The service accepts what it can answer, refuses the rest at once, and changes its models without losing a request."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.serving import Served, form, served

from infer.core.errors import DeviceError
from infer.serve.engine import Engine, Result, Work


def predict(server: Served, *images: Path) -> dict:
    response = server.client.post("/v1/predict", files=form(*images))
    assert response.status_code == 200, response.text
    return response.json()


def refused(server: Served) -> float:
    """How many requests got 503."""
    lines = server.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith('lab_refused_total{status="503"}'))


def test_many_clients_at_once_get_the_answers_that_each_gets_alone(server: Served, images: list[Path]) -> None:
    alone = [predict(server, path)["predictions"] for path in images]
    with ThreadPoolExecutor(8) as clients:
        together = list(clients.map(lambda path: predict(server, path)["predictions"], images * 4))
    assert together == alone * 4
    assert b"lab_queue_images 0.0" in server.client.get("/metrics").content


def test_what_does_not_fit_the_queue_is_refused_at_once_and_what_waits_is_answered(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    go, run = threading.Event(), Engine.run

    def wait(self: Engine, batch: Sequence[Work]) -> list[Result]:
        assert go.wait(30)
        return run(self, batch)

    with served(model, max_queue=3, max_images=3) as running, ThreadPoolExecutor(1) as client:
        before = refused(running)  # /ready, before the warm-up
        monkeypatch.setattr(Engine, "run", wait)
        accepted = client.submit(predict, running, *images[:2])
        while running.service.admission.images < 2:
            time.sleep(0.01)
        start = time.perf_counter()
        response = running.client.post("/v1/predict", files=form(*images[:2]))
        assert time.perf_counter() - start < 5
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json()["error"] == "2 images are waiting, and 3 may"
        with running.service.admission.hold_images(1):  # full: the body is not even looked at
            assert running.client.post("/v1/predict", content=b"nonsense").status_code == 503
        go.set()
        assert len(accepted.result(30)["predictions"]) == 2
        assert refused(running) == before + 2


def test_what_would_wait_for_longer_than_max_wait_is_refused_by_the_pace_of_the_last_images(
    model: Path, images: list[Path]
) -> None:
    with served(model, max_wait="2000") as running:
        admission = running.service.admission
        after_warm_up = admission.pace.seconds
        assert 0 < after_warm_up < 1
        predict(running, images[0])
        assert admission.pace.seconds != after_warm_up
        assert len(predict(running, *images[:4])["predictions"]) == 4
        with admission.hold_images(1):
            assert running.client.post("/v1/predict", files=form(images[0])).status_code == 200
            start = time.perf_counter()
            for minute in range(1, 41):
                admission.pace.ran(images=2, accepted=start, now=start + 60 * minute)
            response = running.client.post("/v1/predict", files=form(images[0]))
            assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
            assert response.json()["error"].endswith("and it may take 2 s")
        predict(running, images[0])  # an idle server accepts, and so finds its pace again


def test_with_max_wait_auto_an_answer_may_take_twice_what_the_server_has_measured_of_one_alone(
    model: Path, images: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "x.png"
    broken.write_bytes(b"no image")
    with served(model, max_wait="auto") as running:
        pace = running.service.admission.pace
        after_warm_up = pace.alone
        assert after_warm_up == pytest.approx(pace.seconds + 0.005)
        assert running.client.post("/v1/predict", files=form(broken)).status_code == 422
        assert running.client.post("/v1/predict", files=form(images[0], images[1])).status_code == 200
        assert pace._alone == after_warm_up
        predict(running, images[0])
        assert pace._alone != after_warm_up
        samples = dict(line.rsplit(" ", 1) for line in running.client.get("/metrics").text.splitlines())
        assert float(samples["lab_max_wait_seconds"]) == pytest.approx(2 * pace.alone)


def test_an_answer_that_takes_too_long_is_given_up(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    with served(model, timeout=0.3) as running:
        monkeypatch.setattr(Engine, "run", lambda *_: go.wait(30))
        response = running.client.post("/v1/predict", files=form(images[0]))
        go.set()
        assert response.status_code == 503
        assert response.json()["error"] == "the answer took longer than 0.3 s"
        assert running.service.admission.images == 0


def test_a_device_that_fails_is_an_error_with_its_remedy(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DeviceError("the memory of x is exhausted; give a smaller --max-batch")

    with served(model) as running:
        monkeypatch.setattr(Engine, "run", fail)
        response = running.client.post("/v1/predict", files=form(images[0]))
        assert response.status_code == 503
        assert response.json() == {"error": "the memory of x is exhausted", "remedy": "give a smaller --max-batch"}


def test_a_changed_file_is_loaded_and_a_damaged_one_is_not(
    tmp_path: Path, model: Path, with_cam: Path, images: list[Path]
) -> None:
    path = shutil.copy(model, tmp_path / "m.onnx")
    with served(path) as running:
        before = predict(running, images[0])
        running.reload()
        assert "the models' files are those that are loaded" in running.said.getvalue()
        content = bytearray(with_cam.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / "draft").write_bytes(content)
        (tmp_path / "draft").replace(path)
        running.reload()
        assert "reload failed, so the models that are loaded stay" in running.said.getvalue()
        assert "has been changed since" in running.said.getvalue()
        assert predict(running, images[0]) == before
        shutil.copy(with_cam, tmp_path / "draft")
        (tmp_path / "draft").replace(path)
        stop = threading.Event()
        with ThreadPoolExecutor(2) as clients:

            def ask() -> int:
                count = 0
                while not stop.is_set():
                    count += len(predict(running, images[0])["predictions"])
                return count

            asked = [clients.submit(ask) for _ in range(2)]
            running.reload()
            stop.set()
            assert all(item.result(30) for item in asked)
        after = predict(running, images[0])
        assert after["models"][0]["sha256"] != before["models"][0]["sha256"]
        assert after["predictions"] == before["predictions"]
        assert running.client.get("/v1/model").json()["heatmaps"] is True
        metrics = running.client.get("/metrics").text
        for outcome in ("loaded", "unchanged", "failed"):
            assert f'lab_reloads_total{{outcome="{outcome}"}} 1.0' in metrics


def test_a_killed_decoder_costs_no_answer(model: Path, images: list[Path]) -> None:
    with served(model, decoders=1) as running:
        before = predict(running, images[0])
        (pid,) = running.service.decoder_pids
        os.kill(pid, signal.SIGKILL)
        assert predict(running, images[0]) == before
        assert running.service.decoder_pids != [pid]
