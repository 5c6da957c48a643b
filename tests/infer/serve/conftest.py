"""A server of the tests' model, started once for each module."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.serving import Served, served


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Served]:
    with served(model) as running:
        yield running


@pytest.fixture(scope="session")
def with_cam(lab: Callable, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with its class activation map. Not to be written to."""
    out = tmp_path_factory.mktemp("cam") / "cells.onnx"
    assert lab("export", run, "--cam", "--out", out).code == 0
    return out


@pytest.fixture
def images(cells: Path) -> list[Path]:
    return sorted((cells / "test").glob("*.jpg"))
