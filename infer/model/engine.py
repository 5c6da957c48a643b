"""What runs a model file: one interface, and a module for each runtime behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.model.cpu_engine import CpuEngine
from infer.model.onnx_session import OnnxEngine, runtime_version
from infer.model.openvino_runtime import openvino_version
from infer.model.providers import OPENVINO_LIBRARY, Options, Provider


class Engine(Protocol):
    """A model opened by a runtime; it may be run from several threads."""

    batch: int | None
    """The only batch size that the model takes; None where it takes any."""
    outputs: tuple[str, ...]
    """The names of the outputs."""

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """The named outputs for named inputs. Raises what the runtime raises."""


def open_engine(model: Path | bytes, provider: Provider, threads: int | None, options: Options) -> Engine:
    """Open a model with the library of a provider's row.

    Args:
        model: an ONNX file, or the content of one.
        provider: that runs all of it.
        threads: for operators on the CPU; None: one per core.
        options: of the session and of the provider.

    Raises:
        ModelError: the runtime cannot read the model.
        DeviceError: the provider is not available, or cannot run the model.
    """
    kind = CpuEngine if provider.device == "cpu" else OnnxEngine
    return kind(model, provider, threads, options)


def library_version(library: str) -> str:
    """The version of the package that a provider's row names."""
    return openvino_version() if library == OPENVINO_LIBRARY else runtime_version()
