"""A few of the hostile requests of bench/serve_hostile.py: every one ends, and the server answers as before."""

import asyncio
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from helpers.serving import form, served

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import serve_hostile

    return serve_hostile


def test_hostile_requests_break_nothing_and_leave_nothing_behind(
    hostile: ModuleType, model: Path, cells: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = sorted((cells / "test").glob("*.jpg"))[:4]
    contents = [path.read_bytes() for path in images]
    with served(model, timeout=5.0, decoders=1) as running:
        before = running.client.post("/v1/predict", files=form(images[0])).json()
        found = asyncio.run(hostile.attack(urlsplit(running.url).port, contents, 150, 50, seed=1))
        assert sum(found.values()) == 150
        assert {"400", "422", "closed"} <= set(found)
        assert "500" not in found
        assert running.client.post("/v1/predict", files=form(images[0])).json() == before
        admission = running.service.admission
        assert (admission.images, admission.nbytes, len(running.service.decoder_pids)) == (0, 0, 1)
    assert capfd.readouterr().err == ""
