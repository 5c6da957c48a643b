"""What tests of the exporter share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def fresh(run: Path, tmp_path: Path) -> Path:
    """A copy of the trained run without its exports."""
    return shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("model*", "report*"))
