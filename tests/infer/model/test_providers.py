"""The table of execution providers: what its rows say, and that a row added to it is all that a new provider needs."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import pytest
from helpers.providers import pretend_cuda

import infer.model.autotune
from exporter.gate import gate_providers
from infer.config import Device, Runtime
from infer.core.console import Screen
from infer.core.errors import DeviceError
from infer.model import providers
from infer.model.provider_options import saved_options
from infer.model.providers import (
    CPU,
    CUDA,
    CUDA_GRAPH,
    DIVIDED,
    PROVIDERS,
    SPINNING,
    Provider,
    providers_for,
)
from infer.model.session import Session

ACME = Provider(
    name="AcmeExecutionProvider",
    device="acme",
    memory="cpu",
    device_name=lambda: "Acme 1",
    unsupported={"fp16": "Acme has no fp16; export fp32"},
    options={"lanes": "1", "session.acme": "1"},
    tuned={"lanes": ("1", "2")},
    batches_in_flight=2,
    pads_batches=True,
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """An ONNX Runtime with Acme's provider, which computes as the CPU's does, and a table with its row first.

    Returns:
        The provider's options of every session that is opened on it.
    """
    real, opened = onnxruntime.InferenceSession, []

    class WithAcme:
        def __init__(self, model: object, settings: object, providers: list, **more: object) -> None:
            self.name, options = (providers[0], {}) if isinstance(providers[0], str) else providers[0]
            if self.name == ACME.name:
                opened.append(options)
                providers = [CPU.name]
            self.session = real(model, settings, providers=providers, **more)

        def get_providers(self) -> list[str]:
            return [self.name]

        def __getattr__(self, name: str) -> object:
            return getattr(self.session, name)

    monkeypatch.setattr(onnxruntime, "InferenceSession", WithAcme)
    monkeypatch.setattr(providers, "PROVIDERS", (ACME, *PROVIDERS))
    return opened


@pytest.mark.parametrize("provider", PROVIDERS, ids=str)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_candidate_is_tuned_once_the_default_first_and_none_computes_in_another_precision(
    provider: Provider, precision: str
) -> None:
    candidates = [dict(options) for options in provider.tuning_candidates(precision)]
    assert candidates[0] == provider.default_options(precision)
    different = {tuple(sorted(options.items())) for options in candidates}
    count = 8 if (provider, precision) == (CUDA, "fp16") else {CUDA: 4, CPU: 3}.get(provider, 2)
    assert len(different) == len(candidates) == count
    if provider is CPU:
        shared = {DIVIDED: "0", SPINNING: "0"}
        assert {
            **provider.default_options(precision),
            **shared,
        } in candidates  # ONNX Runtime's own threads share each batch
    if provider is CUDA:
        assert {options["use_tf32"] for options in candidates} == {"1" if precision == "fp16" else "0"}
        assert {options["cudnn_conv_algo_search"] for options in candidates} == {"HEURISTIC"}
        assert [options[CUDA_GRAPH] for options in candidates] == count // 2 * ["0"] + count // 2 * ["1"]


def test_fp16_runs_with_channels_last_and_tensor_cores_on_a_gpu() -> None:
    assert CUDA.default_options("fp16")["prefer_nhwc"] == "1"
    assert CUDA.default_options("fp16")["use_tf32"] == "1"
    assert CUDA.default_options("fp32")["prefer_nhwc"] == "0"
    assert CUDA.default_options("fp32")["use_tf32"] == "0"


def test_auto_takes_the_cpu_for_an_opset_that_a_gpu_cannot_run_and_says_so(
    run: Path, tmp_path: Path, lab: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, None)
    monkeypatch.setattr("exporter.gate.providers_for", lambda *_: (CPU,))
    newer = str((CUDA.newest_opset or 0) + 1)
    ran = lab("export", run, "--opset", newer, "--device", "cpu", "--gate-images", "5", "--out", tmp_path / "a.onnx")
    assert ran.code == 0, ran.err
    assert "warning: this file will run on the CPU alone" in ran.out
    session = Session(tmp_path / "a.onnx", "auto")
    assert session.provider is CPU
    assert f"no kernel for some operators of opset {newer}" in session.reason
    with pytest.raises(DeviceError, match=f"--device cuda: .* opset {newer}.*export with --opset 21 or lower"):
        Session(tmp_path / "a.onnx", "cuda")


def test_auto_tries_all_rows_in_their_order_and_the_last_one_runs_anywhere() -> None:
    assert providers_for("auto") == PROVIDERS
    assert [provider.runs_anywhere for provider in PROVIDERS] == [False] * (len(PROVIDERS) - 1) + [True]
    assert all(providers_for(provider.device, provider.runtime) == (provider,) for provider in PROVIDERS)


def test_the_values_of_the_options_of_device_and_runtime_are_auto_and_those_of_the_table() -> None:
    assert get_args(Device) == ("auto", *dict.fromkeys(provider.device for provider in PROVIDERS))
    assert get_args(Runtime) == ("auto", *sorted({provider.runtime for provider in PROVIDERS}))


def test_a_device_may_be_named_as_soon_as_the_table_has_its_row() -> None:
    script = (
        "from infer.model import providers\n"
        "acme = providers.Provider(name='A', device='acme', memory='cpu', device_name=str)\n"
        "providers.PROVIDERS = (acme, *providers.PROVIDERS)\n"
        "from infer.config import EvaluateConfig, PredictConfig, VerifyConfig\n"
        "from exporter.config import ExportConfig\n"
        "for config in (EvaluateConfig, VerifyConfig, ExportConfig): assert config(device='acme').device == 'acme'\n"
        "from pathlib import Path\n"
        "assert PredictConfig(source=Path('cells'), device='acme').device == 'acme'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])


def test_auto_takes_the_first_row_that_can_run_the_file(
    model: Path, opened: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, "auto")
    assert (session.provider, session.reason) == (ACME, "Acme is available")
    assert opened == [{"lanes": "1"}]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    assert session.run(pixels)[0].tobytes() == Session(model, "cpu").run(pixels)[0].tobytes()
    assert Session(model, "acme").provider is ACME
    monkeypatch.setattr(ACME.__class__, "problem", lambda self, *_: None if self.runs_anywhere else f"no {self.device}")
    session = Session(model, "auto")
    assert (session.provider, session.reason) == (CPU, "no acme; no cuda")
    with pytest.raises(DeviceError, match="--device acme: no acme; or choose --device cpu"):
        Session(model, "acme")


@pytest.mark.usefixtures("opened")
def test_the_gate_runs_on_a_row_added_to_the_table_unless_it_cannot_run_the_precision(
    quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    assert gate_providers("auto", "auto", "fp32", 17, quiet) == [CPU, ACME]
    assert gate_providers("auto", "auto", "fp16", 17, quiet) == [CPU]
    with pytest.raises(DeviceError, match="--device acme: Acme has no fp16; export fp32; or choose --device cpu"):
        gate_providers("acme", "auto", "fp16", 17, quiet)


@pytest.mark.usefixtures("opened")
def test_a_row_added_to_the_table_is_exported_for_predicted_on_tuned_and_examined(
    lab: Callable, run: Path, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(infer.model.autotune, "SECONDS", 0.0)
    ran = lab("export", run, "--gate-images", "5", "--out", tmp_path / "a.onnx")
    assert ran.code == 0, ran.err
    proof = json.loads((tmp_path / "a.parity.json").read_text())
    assert {ACME.name, CPU.name} <= {check["provider"] for check in proof["checks"]}
    file = shutil.copy(model, tmp_path / "m.onnx")
    command = ("predict", cells / "test", "--no-sample", "--model", file, "--out")
    ran = lab(*command, tmp_path / "a.csv", "--tune")
    assert ran.code == 0, ran.err
    assert "device: AcmeExecutionProvider (Acme is available)" in ran.out
    saved = saved_options(Path(file), ACME, "fp32")
    assert saved in ({"lanes": "1", "session.acme": "1"}, {"lanes": "2", "session.acme": "1"})
    assert lab(*command, tmp_path / "b.csv", "--device", "cpu").code == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in lab("doctor").out.splitlines() if "│" in line
    }
    assert rows["Acme"] == "runs"


@pytest.mark.parametrize(("limited", "spinning"), [(True, "0"), (False, "1")])
def test_threads_do_not_spin_where_a_quota_limits_them(
    limited: bool, spinning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "is_limited", lambda: limited)
    assert CPU.default_options("int8")[SPINNING] == spinning
    assert CPU.tuning_candidates("int8")[0][SPINNING] == spinning
