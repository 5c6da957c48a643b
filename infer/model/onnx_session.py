"""ONNX Runtime's InferenceSession, opened on one provider and checked."""

from pathlib import Path
from typing import Any

from infer.core.errors import DeviceError, ModelError
from infer.model.cuda import CPU, CUDA
from infer.model.provider_options import Options

OUT_OF_MEMORY = (
    "failed to allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "allocation_failed",
    "allocation failed",
    "smaller than requested bytes",
    "can't allocate memory",  # torch's allocator on the CPU
)
"""What exhausted memory is called in the messages of ONNX Runtime, CUDA and torch, in lower case."""


def runtime_version() -> str:
    """ONNX Runtime's own version: its wheels have several names."""
    import onnxruntime as ort

    return str(ort.__version__)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception of ONNX Runtime or torch tells of exhausted memory (few have a class of their own)."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY)


def open_onnx(model: Path | bytes, provider: str, threads: int | None, options: Options) -> Any:
    """An InferenceSession of a file, or of its content, that runs every node on one provider.

    Raises:
        ModelError: ONNX Runtime cannot read it.
        DeviceError: the provider cannot be had, or does not run all nodes.
    """
    import onnxruntime as ort

    path = model if isinstance(model, Path) else "a graph of lab's own"

    settings = ort.SessionOptions()
    settings.log_severity_level = 4  # what fails is raised; what ORT would only log is checked below
    settings.intra_op_num_threads = threads or 0  # 0: all
    entries = {"session.disable_cpu_ep_fallback": "1"} if provider == CUDA else options
    for name, value in entries.items():
        settings.add_session_config_entry(name, value)
    try:
        chosen = [(CUDA, dict(options))] if provider == CUDA else [CPU]
        # enable_fallback would move a failing session to the CPU, here and again in any later run, with only a print
        session = ort.InferenceSession(model, settings, providers=chosen, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this
        what = str(error).partition("\n")[0]
        if provider == CUDA:
            raise DeviceError(f"ONNX Runtime cannot run {path} on CUDA: {what}; choose --device cpu") from error
        raise ModelError(f"ONNX Runtime cannot read {path}: {what}; export it again") from error
    if session.get_providers()[0] != provider:
        raise DeviceError(
            f"ONNX Runtime did not load its CUDA provider and would run {path} on {session.get_providers()[0]}; "
            "choose --device cpu, or repair the CUDA installation"
        )
    return session
