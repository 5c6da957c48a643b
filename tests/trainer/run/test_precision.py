"""Training computes in bfloat16 where the hardware does, and only then."""

import io

import pytest
import torch
from rich.console import Console

import trainer.run.precision
from infer.core.console import Screen
from infer.core.errors import DeviceError
from trainer.run.precision import choose_precision, has_bf16, resolve_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def pretend(monkeypatch: pytest.MonkeyPatch, *instructions: str, gpu: bool = False) -> None:
    monkeypatch.setattr(trainer.run.precision, "instructions", lambda: instructions)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: gpu or including_emulation)


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16"])
def test_a_cpu_computes_in_bfloat16_on_request_where_it_has_the_instructions(
    monkeypatch: pytest.MonkeyPatch, instruction: str
) -> None:
    pretend(monkeypatch, "avx2", instruction)
    assert has_bf16(CPU)
    assert [resolve_precision(wanted, CPU) for wanted in ("auto", "fp32", "bf16")] == ["fp32", "fp32", "bf16"]


def test_bfloat16_that_a_device_would_emulate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "avx2", "avx512f", "amx_int8")
    assert not has_bf16(CPU)
    for device, reason in ((CPU, "neither AMX nor AVX-512"), (CUDA, "this GPU has none")):
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


def test_auto_names_the_option_that_uses_a_cpus_bfloat16_and_is_silent_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = io.StringIO()
    screen = Screen(Console(file=text, width=200))
    pretend(monkeypatch, "avx2")
    assert choose_precision("auto", CPU, screen) == "fp32"
    pretend(monkeypatch, "avx2", "amx_bf16")
    assert choose_precision("fp32", CPU, screen) == "fp32"
    assert choose_precision("bf16", CPU, screen) == "bf16"
    assert text.getvalue() == ""
    assert choose_precision("auto", CPU, screen) == "fp32"
    assert "--precision bf16 uses this processor's" in text.getvalue()
