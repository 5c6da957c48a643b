"""Execution providers as tests need them."""

from dataclasses import replace

import pytest

from infer.model import providers


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, problem: str | None) -> None:
    """CUDA cannot be used for this reason; with None, no reason is known, whatever this machine has."""
    rows = (replace(row, find_problem=lambda: problem) if row.device == "cuda" else row for row in providers.PROVIDERS)
    monkeypatch.setattr(providers, "PROVIDERS", tuple(rows))
