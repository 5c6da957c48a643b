"""Training computes in bfloat16 where the hardware does, and only then."""

import io

import pytest
import torch
from rich.console import Console

import trainer.run.precision
from infer.core import cpu
from infer.core.console import Screen
from infer.core.errors import DeviceError
from trainer.choices import Precision
from trainer.run.precision import has_bf16, resolve_precision, tell_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def pretend(
    monkeypatch: pytest.MonkeyPatch, *instructions: str, gpu: bool = False, vendor: str = "GenuineIntel"
) -> None:
    monkeypatch.setattr(cpu, "instructions", lambda: instructions)
    monkeypatch.setattr(cpu, "vendor", lambda: vendor)
    for name in ("bf16_instructions", "fast_bf16"):  # which the other tests have hidden
        monkeypatch.setattr(trainer.run.precision, name, getattr(cpu, name))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: gpu or including_emulation)


@pytest.mark.parametrize(
    ("vendor", "instruction", "chosen"),
    [
        ("GenuineIntel", "avx512_bf16", "fp32"),
        ("GenuineIntel", "amx_bf16", "bf16"),
        ("AuthenticAMD", "avx512_bf16", "bf16"),
    ],
)
def test_auto_is_bfloat16_on_a_cpu_that_gains_from_it_and_on_request_on_one_that_has_it(
    monkeypatch: pytest.MonkeyPatch, vendor: str, instruction: str, chosen: Precision
) -> None:
    pretend(monkeypatch, "avx2", instruction, vendor=vendor)
    assert has_bf16(CPU)
    assert [resolve_precision(wanted, CPU) for wanted in ("auto", "fp32", "bf16")] == [chosen, "fp32", "bf16"]


def test_bfloat16_that_a_device_would_emulate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "avx2", "avx512f", "amx_int8")
    assert not has_bf16(CPU)
    for device, reason in ((CPU, "neither AMX nor AVX-512"), (CUDA, "this GPU has no bfloat16")):
        with pytest.raises(DeviceError, match=f"--precision bf16: .*{reason}.*; choose fp32"):
            resolve_precision("bf16", device)
        assert resolve_precision("auto", device) == resolve_precision("fp32", device) == "fp32"


def test_a_run_that_was_begun_goes_on_in_its_precision_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "avx2")
    message = "the run trains in bfloat16, and this processor has neither .*; go on with it where it has"
    with pytest.raises(DeviceError, match=message):
        resolve_precision("bf16", CPU, is_begun=True)
    assert resolve_precision("fp32", CPU, is_begun=True) == "fp32"


def test_auto_is_bfloat16_on_a_gpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, gpu=True)
    assert [resolve_precision(wanted, CUDA) for wanted in ("auto", "fp32", "bf16")] == ["bf16", "fp32", "bf16"]


def test_a_cpus_run_that_records_no_precision_goes_on_in_float32_as_an_earlier_lab_began_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "amx_bf16", gpu=True)
    assert resolve_precision("auto", CPU, is_begun=True) == "fp32"
    assert resolve_precision("auto", CUDA, is_begun=True) == "bf16"


@pytest.mark.parametrize(
    ("wanted", "is_begun", "instruction", "line"),
    [
        ("auto", False, "amx_bf16", "training in bfloat16, which this processor multiplies (amx_bf16); --precision"),
        ("auto", False, "avx2", "training in float32, since this processor has neither AMX nor AVX-512 for bfloat16\n"),
        ("auto", False, "avx512_bf16", "training in float32, since this processor has bfloat16 by AVX-512 alone"),
        ("auto", True, "amx_bf16", "training in float32\n"),
        ("bf16", False, "amx_bf16", "training in bfloat16\n"),
        ("bf16", True, "amx_bf16", "training in bfloat16\n"),
        ("fp32", False, "amx_bf16", ""),
    ],
)
def test_what_auto_chose_on_a_cpu_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, wanted: Precision, is_begun: bool, instruction: str, line: str
) -> None:
    pretend(monkeypatch, instruction)
    text = io.StringIO()
    tell_precision(wanted, CPU, Screen(Console(file=text, width=200)), is_begun)
    assert text.getvalue().startswith(line)
    assert bool(text.getvalue()) == bool(line)
