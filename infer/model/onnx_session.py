"""ONNX Runtime's InferenceSession, opened on one provider and checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.core.errors import DeviceError, ModelError
from infer.model.providers import Options, Provider

FATAL = 4
"""ONNX Runtime's log level for messages before it ends the process."""

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
"""Phrases, in lower case, by which ONNX Runtime, CUDA and torch report that memory is exhausted."""


def runtime() -> ModuleType:
    """ONNX Runtime, whose default logger is silenced: a session's log level does not reach what cuDNN's frontend says.

    Errors are raised, and lab reports them.
    """
    import onnxruntime as ort

    ort.set_default_logger_severity(FATAL)
    module: ModuleType = ort
    return module


def runtime_version() -> str:
    """ONNX Runtime's own version: its wheels have several names."""
    return str(runtime().__version__)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception of ONNX Runtime or torch means exhausted memory; few have a class of their own."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(phrase in text for phrase in OUT_OF_MEMORY)


def open_onnx(model: Path | bytes, provider: Provider, threads: int | None, options: Options) -> Any:
    """Open an InferenceSession that runs every node of a model on one provider.

    Args:
        model: an ONNX file, or the content of one.
        provider: the only one that may run nodes.
        threads: for operators on the CPU; None: one per core.
        options: of the session and of the provider.

    Raises:
        ModelError: ONNX Runtime cannot read the model.
        DeviceError: the provider is not available, or cannot run all nodes.
    """
    ort = runtime()
    name = model if isinstance(model, Path) else "lab's own graph"
    settings = ort.SessionOptions()
    settings.log_severity_level = FATAL  # errors are raised; what ONNX Runtime would only log is checked below
    settings.intra_op_num_threads = threads or 0  # 0: one per core
    entries = {key: value for key, value in options.items() if key.startswith("session.")}
    for key, value in {**provider.session_entries, **entries}.items():
        settings.add_session_config_entry(key, value)
    own = {key: value for key, value in options.items() if key not in entries}
    try:
        # enable_fallback would move a failing session to the CPU, here and in any later run, and only print it
        session = ort.InferenceSession(model, settings, providers=[(provider.name, own)], enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this
        reason = str(error).partition("\n")[0]
        if provider.runs_anywhere:
            raise ModelError(f"ONNX Runtime cannot read {name}: {reason}; export it again") from error
        raise DeviceError(
            f"ONNX Runtime cannot run {name} on {provider.label}: {reason}; choose --device cpu"
        ) from error
    actual = session.get_providers()[0]
    if actual != provider.name:
        raise DeviceError(
            f"ONNX Runtime did not load its {provider.label} provider and would run {name} on {actual}; "
            f"choose --device cpu, or repair the {provider.label} installation"
        )
    return session


class OnnxEngine:
    """A model opened by ONNX Runtime on one provider.

    Attributes:
        batch: the only batch size that the model takes; None where it takes any.
        outputs: the names of the outputs.
    """

    def __init__(self, model: Path | bytes, provider: Provider, threads: int | None, options: Options) -> None:
        """Arguments and errors are those of `open_onnx`."""
        self._session = open_onnx(model, provider, threads, options)
        first = self._session.get_inputs()[0].shape[0]
        self.batch: int | None = first if isinstance(first, int) else None
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """The named outputs for named inputs. Raises what ONNX Runtime raises."""
        results: list[Floats] = self._session.run(list(outputs), dict(inputs))
        return results
