"""`lab doctor` tries what it tells."""

import sys
from collections.abc import Callable

import onnxruntime
import pytest

from infer import doctor
from infer.core import cpu
from infer.doctor import examine, tried, tried_decoder
from infer.model.cuda import CPU, CUDA


def test_the_cpu_provider_runs_and_a_provider_that_does_not_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(CPU) == ""
    assert tried("NoSuchExecutionProvider") != ""

    class Wrong:
        def __init__(self, *arguments: object, **options: object) -> None: ...

        def get_providers(self) -> list[str]:
            return [CPU]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    assert tried(CUDA) == "ONNX Runtime took CPUExecutionProvider instead"


def test_a_gpu_that_cannot_be_used_is_told_with_the_remedy(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_problem", lambda: "no NVIDIA driver is installed")
    ran = lab("doctor")
    assert ran.code == 0, ran.err
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in ran.out.splitlines() if "│" in line}
    assert rows["CPU"] == "runs"
    assert rows["CUDA"] == "does not run: no NVIDIA driver is installed"
    assert rows["--decode gpu"] == "does not run: no NVIDIA driver is installed"
    assert "for a GPU: no NVIDIA driver is installed" in ran.out
    assert "Pillow" in rows["decoders"]
    assert rows["extra train"].startswith("torch 2.")


def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: "" if name in ("pyarrow", "onnx") else real(name))
    findings = examine()
    assert any("for parquet: pyarrow not installed; pip install '.[parquet]'" in line for line in findings.remedies)
    assert any("for train: onnx not installed" in line for line in findings.remedies)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("avx2", "avx512_vnni"), "is made for it (avx512_vnni)"),
        (("avx2",), "may overflow in 8 bits"),
        ((), "not known for this processor"),
    ],
)
def test_whether_int8_suits_the_processor_is_told(
    flags: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (doctor, cpu):
        monkeypatch.setattr(module, "instructions", lambda: flags)
    assert told in dict(examine().rows)["int8"]


def test_the_gpu_decoder_is_tried_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.pipeline.gpu_decode.Resampler", lambda provider: None)
    monkeypatch.setitem(sys.modules, "nvidia", None)
    assert tried_decoder().startswith("needs nvImageCodec, which is not installed")
    assert tried_decoder().endswith("pip install '.[nvjpeg]' in lab's folder")
