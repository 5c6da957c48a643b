"""Opsets that this machine cannot write are refused with their range, and those that GPUs cannot run are named."""

import io
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from helpers.providers import pretend_cuda

from exporter.opsets import OLDEST_OPSET, check_gpu_opset, check_opset, newest_opset
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.model.providers import CUDA

LIMIT = CUDA.newest_opset or 0


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, newest_opset() + 1, 999])
def test_an_opset_outside_the_range_is_an_error_that_names_the_range(opset: int) -> None:
    with pytest.raises(ConfigError, match=f"{OLDEST_OPSET} to {newest_opset()}"):
        check_opset(opset)


def test_the_newest_opset_is_one_that_both_packages_know() -> None:
    assert 21 <= newest_opset() <= onnx.defs.onnx_opset_version()


@pytest.mark.parametrize("opset", [LIMIT + 1, newest_opset()])
def test_an_opset_that_no_gpu_runs_is_refused_where_the_file_or_the_gate_is_for_one(opset: int, quiet: Screen) -> None:
    with pytest.raises(ConfigError, match=f"--opset {opset} with --precision fp16, .*export with --opset {LIMIT}"):
        check_gpu_opset(opset, "fp16", "auto", quiet)
    with pytest.raises(ConfigError, match=f"--opset {opset} with --device cuda: .*export with --opset {LIMIT}"):
        check_gpu_opset(opset, "fp32", "cuda", quiet)


def test_an_opset_that_no_gpu_runs_is_a_warning_for_fp32_and_nothing_for_int8(
    heard: tuple[Screen, io.StringIO],
) -> None:
    for opset in range(OLDEST_OPSET, LIMIT + 1):
        for precision in ("fp32", "fp16", "int8"):
            check_gpu_opset(opset, precision, "auto", heard[0])
    check_gpu_opset(LIMIT + 1, "int8", "auto", heard[0])
    assert heard[1].getvalue() == ""
    check_gpu_opset(LIMIT + 1, "fp32", "auto", heard[0])
    messages = " ".join(heard[1].getvalue().split())
    assert "warning: this file will run on the CPU alone: ONNX Runtime's CUDA provider has no kernel" in messages
    assert f"export with --opset {LIMIT} or lower" in messages


def test_the_refusal_comes_before_anything_is_written(lab: Callable, run: Path, tmp_path: Path) -> None:
    ran = lab("export", run, "--opset", str(LIMIT + 1), "--precision", "fp16", "--out", tmp_path / "m.onnx")
    assert ran.code == 2
    assert f"--opset {LIMIT + 1} with --precision fp16" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_where_a_gpu_runs_the_opset_its_provider_decides_rather_than_the_table(
    monkeypatch: pytest.MonkeyPatch, quiet: Screen
) -> None:
    pretend_cuda(monkeypatch, None)
    opened: list[int] = []
    monkeypatch.setattr("infer.model.opset_limit.opens_opset", lambda _, opset: opened.append(opset) or opset == 23)
    check_gpu_opset(23, "fp16", "cuda", quiet)
    with pytest.raises(ConfigError, match="--opset 22 with --precision fp16"):
        check_gpu_opset(22, "fp16", "cuda", quiet)
    assert opened == [23, 22]
