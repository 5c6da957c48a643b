"""`lab doctor` tries what it reports."""

import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
from helpers.providers import pretend_cuda

from infer import doctor
from infer.core import cpu
from infer.doctor import examine, find_compile_problem, try_gpu_decoder, try_provider
from infer.model.openvino_runtime import openvino_version
from infer.model.providers import CPU, CUDA, OPENVINO, OPENVINO_BF16


def test_the_cpu_provider_runs_and_a_provider_that_does_not_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_provider(CPU) == ""
    assert try_provider(replace(CPU, name="NoSuchExecutionProvider")) != ""

    class Wrong:
        def __init__(self, *arguments: object, **options: object) -> None: ...

        def get_providers(self) -> list[str]:
            return [CPU.name]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    assert try_provider(CUDA) == "ONNX Runtime took CPUExecutionProvider instead"


@pytest.mark.usefixtures("openvino")
def test_openvino_is_tried_and_its_version_and_precisions_are_shown(lab: Callable) -> None:
    rows = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in lab("doctor").out.splitlines() if "│" in line
    }
    assert rows["OpenVINO"] == "runs"
    version, _, precisions = rows["OpenVINO package"].partition(", computes ")
    assert version == openvino_version()
    assert "FP32" in precisions.split(", ")
    problem = OPENVINO_BF16.find_problem()
    assert rows["OpenVINO bf16"].startswith(f"does not run: {problem[:40]}" if problem else "runs")
    assert "OpenVINO cannot run" in try_provider(replace(OPENVINO, options={"NO_SUCH": "1"}))


def test_openvino_that_is_not_installed_is_shown_and_named_once_among_the_remedies(lab: Callable) -> None:
    ran = lab("doctor")
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in ran.out.splitlines() if "│" in line}
    assert rows["OpenVINO"].startswith("does not run: openvino is hidden")
    assert rows["OpenVINO package"].startswith("openvino is hidden")
    assert "for OpenVINO: " not in ran.out


def test_a_gpu_that_cannot_be_used_is_reported_with_the_remedy(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    ran = lab("doctor")
    assert ran.code == 0, ran.err
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in ran.out.splitlines() if "│" in line}
    assert rows["CPU"] == "runs"
    assert rows["CUDA"] == "does not run: no NVIDIA driver is installed"
    assert rows["--decode gpu"] == "does not run: no NVIDIA driver is installed"
    assert "for CUDA: no NVIDIA driver is installed" in ran.out
    assert "Pillow" in rows["decoders"]
    assert rows["extra train"].startswith("torch 2.")


def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: "" if name in ("pyarrow", "onnx") else real(name))
    findings = examine()
    assert any("for parquet: pyarrow not installed; pip install '.[parquet]'" in line for line in findings.remedies)
    assert any("for train: onnx not installed" in line for line in findings.remedies)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("avx2", "avx512_vnni"), "without overflow (avx512_vnni)"),
        (("avx2",), "files of earlier labs, with 8-bit weights, take slower kernels"),
        ((), "not known for this processor"),
    ],
)
def test_whether_int8_suits_the_processor_is_reported(
    flags: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (doctor, cpu):
        monkeypatch.setattr(module, "instructions", lambda: flags)
    assert message in dict(examine().rows)["int8"]


def test_the_gpu_decoder_is_tried_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.pipeline.gpu_decode.Resampler", lambda provider: None)
    monkeypatch.setitem(sys.modules, "nvidia", None)
    assert try_gpu_decoder().startswith("needs nvImageCodec, which is not installed")
    assert try_gpu_decoder().endswith("pip install '.[nvjpeg]' in lab's folder")


@pytest.mark.parametrize(
    ("chosen", "found", "expected"),
    [
        (None, [], "needs a C compiler: install gcc or clang"),
        (None, ["cc", "tcc"], "needs a C compiler: install gcc or clang"),
        ("icx", ["gcc"], "needs a C compiler: CC names icx, which is not found"),
        ("icx", ["icx"], ""),
        (None, ["clang"], ""),
        (None, ["gcc"], ""),
    ],
)
def test_a_missing_c_compiler_is_reported_for_torch_compile(
    chosen: str | None, found: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Python.h").touch()
    headers(monkeypatch, tmp_path)
    monkeypatch.delenv("CC", raising=False)
    if chosen:
        monkeypatch.setenv("CC", chosen)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in found else None)
    assert find_compile_problem().startswith(expected)
    assert bool(find_compile_problem()) is bool(expected)


def test_missing_headers_of_python_are_reported_for_torch_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    headers(monkeypatch, tmp_path)
    assert find_compile_problem().startswith(f"needs Python.h, which is not in {tmp_path}")
    findings = examine()
    assert dict(findings.rows)["torch.compile"] == find_compile_problem()
    assert f"for torch.compile: {find_compile_problem()}" in findings.remedies
    (tmp_path / "Python.h").touch()
    findings = examine()
    assert dict(findings.rows)["torch.compile"] == "a C compiler and Python's headers are here"
    assert not any("torch.compile" in line for line in findings.remedies)


def headers(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Python's headers are looked for in this folder."""
    monkeypatch.setattr(sysconfig, "get_paths", lambda scheme: {"include": str(folder)})
