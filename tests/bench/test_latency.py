"""The benchmark of one image runs a `lab predict` that there is, with the model and the runtime that it names."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def latency(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import latency

    return latency


def test_the_command_predicts_the_image_with_the_runtime(
    latency: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    lab: Callable[..., Any],
    model: Path,
    cells: Path,
    tmp_path: Path,
) -> None:
    def run(command: list[str], **_: Any) -> None:
        assert command[1:3] == ["-m", "cli"]
        ran = lab(*command[3:])
        assert ran.code == 0, ran.err

    monkeypatch.setattr(latency, "subprocess", SimpleNamespace(run=run))
    image = next(cells.rglob("*.jpg"))
    assert latency.from_shell(model, "onnxruntime", str(image), tmp_path) > 0
    assert image.name in (tmp_path / "out.csv").read_text()
