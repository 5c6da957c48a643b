"""OpenVINO on this machine: whether it is installed, its version, and the precisions that its CPU plugin computes."""

import contextlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from infer.core.cpu import bf16_instructions, instructions
from infer.core.errors import DeviceError
from infer.version import installed_version

DEVICE = "CPU"
"""The plugin that lab uses."""
CONVERTER = "openvino.tools.ovc"
"""OpenVINO's model converter. `import openvino` loads it if it can, and it then reports to Google Analytics that it was
loaded, without asking."""


def find_problem() -> str | None:
    """Why OpenVINO cannot be used here, with the remedy; None where no reason is known. Does not load it."""
    if find_spec("openvino") is None:
        return "openvino is not installed; pip install '.[openvino]' in lab's folder brings it"
    return None


def find_bf16_problem() -> str | None:
    """Why OpenVINO cannot compute in bfloat16 here, with the remedy; None where it can.

    Where a processor has no such instructions, OpenVINO is not loaded; elsewhere its CPU plugin is asked.
    """
    if problem := find_problem():
        return problem
    lacks = bool(instructions()) and not bf16_instructions()
    if lacks or "BF16" not in capabilities():
        return "this processor does not compute in bfloat16, which OpenVINO would silently replace by float32"
    return None


def openvino_version() -> str:
    """The version of the installed package; "" where there is none."""
    return installed_version("openvino")


def capabilities() -> tuple[str, ...]:
    """What the CPU plugin says that it computes on this processor: `FP32`, `INT8`, `BF16`. Raises DeviceError."""
    return tuple(core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))


@cache
def core() -> Any:
    """OpenVINO's `Core`, opened once. Raises DeviceError where the package does not load."""
    try:
        with _without(CONVERTER):
            import openvino
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(
            f"openvino cannot be loaded: {reason}; install it again, or choose --runtime onnxruntime"
        ) from error
    return openvino.Core()


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Let imports of a module fail meanwhile, as if it were not installed, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what importlib takes for a module that must not be found
    try:
        yield
    finally:
        del sys.modules[module]
