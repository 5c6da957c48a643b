"""Whether OpenVINO can be used, and that loading it reports to nobody."""

import subprocess
import sys
from pathlib import Path

import pytest

from infer.core import cpu
from infer.model import openvino_runtime
from infer.model.openvino_runtime import CONVERTER, capabilities, core, find_bf16_problem, openvino_version
from infer.version import installed_version

ROOT = Path(__file__).parents[3]
LOADS = (
    "import sys\n"
    "from infer.model.openvino_runtime import core\n"
    "print(core().available_devices)\n"
    "print(sorted(name for name in sys.modules if 'telemetry' in name or name == 'openvino.tools.ovc'))\n"
)


@pytest.mark.usefixtures("openvino")
def test_its_version_and_precisions_are_those_of_the_package() -> None:
    assert openvino_runtime.find_problem() is None
    assert openvino_version() == installed_version("openvino") != ""
    assert "FP32" in capabilities()
    assert core() is core()


@pytest.mark.usefixtures("openvino")
def test_loading_it_loads_no_telemetry_and_leaves_the_converter_importable() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADS], cwd=ROOT, capture_output=True, text=True, check=True)
    devices, reporting = ran.stdout.splitlines()
    assert "CPU" in devices
    assert reporting == "[]"
    core()
    assert sys.modules.get(CONVERTER, "absent") is not None


@pytest.mark.usefixtures("openvino")
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "find_spec", lambda name: None)
    assert (
        openvino_runtime.find_problem()
        == "openvino is not installed; pip install '.[openvino]' in lab's folder brings it"
    )


@pytest.mark.parametrize(
    ("flags", "computed", "problem"),
    [
        (("avx2",), ("FP32",), True),
        (("avx2", "avx512_bf16"), ("FP32", "BF16"), False),
        (("avx2", "amx_bf16"), ("FP32", "INT8"), True),  # a plugin that does not use what the processor has
        ((), ("FP32", "BF16"), False),  # a system that does not report instructions
        ((), ("FP32",), True),
    ],
)
def test_bfloat16_needs_the_processor_and_the_plugin(
    flags: tuple[str, ...], computed: tuple[str, ...], problem: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(flags) <= set(cpu.INSTRUCTIONS)
    monkeypatch.setattr(openvino_runtime, "find_problem", lambda: None)
    monkeypatch.setattr(cpu, "instructions", lambda: flags)
    monkeypatch.setattr(openvino_runtime, "instructions", lambda: flags)
    monkeypatch.setattr(openvino_runtime, "capabilities", lambda: computed)
    found = find_bf16_problem()
    assert ("does not compute in bfloat16" in (found or "")) is problem
    monkeypatch.setattr(openvino_runtime, "find_problem", lambda: "it is not installed")
    assert find_bf16_problem() == "it is not installed"


def test_a_package_that_does_not_load_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from infer.core.errors import DeviceError

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"openvino cannot be loaded: .*; install it again, or choose --runtime onnx"):
        core.__wrapped__()
