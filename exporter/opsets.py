"""The ONNX opsets that a file can be exported in on this machine, and those that GPUs can run."""

import onnx
from onnx import helper

from infer.config import Device
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.model.onnx_session import FATAL, runtime
from infer.model.opset_limit import opset_problem
from infer.model.precision import PRECISIONS
from infer.model.providers import AUTO, providers_for

OLDEST_OPSET = 17


def newest_opset() -> int:
    """The newest opset that the installed ONNX Runtime reads and the installed onnx writes, found by trying each."""
    newest = OLDEST_OPSET
    for opset in range(OLDEST_OPSET, onnx.defs.onnx_opset_version() + 1):
        if not _runtime_reads(opset):
            break
        newest = opset
    return newest


def check_opset(opset: int) -> None:
    """Raises ConfigError for an opset outside OLDEST_OPSET to `newest_opset()`."""
    newest = newest_opset()
    if not OLDEST_OPSET <= opset <= newest:
        raise ConfigError(
            f"--opset {opset} is not possible here: the installed onnx {onnx.__version__} and ONNX Runtime share "
            f"{OLDEST_OPSET} to {newest}; choose one of those"
        )


def check_gpu_opset(opset: int, precision: str, device: Device, screen: Screen) -> None:
    """Warn of an opset that GPUs cannot run.

    Raises:
        ConfigError: the file would be of no use: its precision is for GPUs, or the gate was asked to run on one.
    """
    for provider in providers_for(AUTO):
        problem = None if precision in provider.unsupported else opset_problem(provider, opset)
        if problem is None:
            continue
        if PRECISIONS[precision].for_gpus:
            raise ConfigError(f"--opset {opset} with --precision {precision}, which is for GPUs: {problem}")
        if device == provider.device:
            raise ConfigError(f"--opset {opset} with --device {device}: {problem}")
        screen.say(f"warning: this file will run on the CPU alone: {problem}")


def _runtime_reads(opset: int) -> bool:
    """Whether ONNX Runtime can open a model of one node at this opset."""
    ort = runtime()
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "probe",
        [value("x", onnx.TensorProto.FLOAT, [1])],
        [value("y", onnx.TensorProto.FLOAT, [1])],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
    options = ort.SessionOptions()
    options.log_severity_level = FATAL
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  # ONNX Runtime's exceptions have no common base but this
        return False
    return True
