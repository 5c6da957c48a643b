"""A model opened by OpenVINO on the CPU, in a precision that is set and read back.

OpenVINO chooses the precision by the processor where none is set: bfloat16 for a float32 file where the processor
computes it, without a word. A precision that the processor lacks is replaced as silently. So every property that could
change the arithmetic is set, and read back from the compiled model.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.core.cpu import cores
from infer.core.errors import DeviceError
from infer.model.openvino_runtime import DEVICE, core
from infer.model.providers import Options, Provider

THREADS, STREAMS = "INFERENCE_NUM_THREADS", "NUM_STREAMS"
_FIRST = threading.Lock()
_is_ready = threading.Event()
"""Set after the first run of this process, which is alone: OpenVINO's binding prepares itself in it."""


class OpenVinoEngine:
    """A compiled model and a request for each of its streams; further threads wait for one to be free.

    Attributes:
        batch: the only batch size that the model takes; None where it takes any.
        outputs: the names of the outputs.
    """

    def __init__(self, model: Path | bytes, provider: Provider, threads: int | None, options: Options) -> None:
        """Compile a model.

        Args:
            model: an ONNX file, or the content of one.
            provider: the row of the table.
            threads: that compute; None: one per core that this process may use.
            options: OpenVINO's properties by name.

        Raises:
            DeviceError: OpenVINO cannot be loaded, cannot run the model, or did not take a property.
        """
        name = model if isinstance(model, Path) else "lab's own graph"
        asked = {**options, THREADS: str(threads or cores())}
        asked.setdefault(STREAMS, "1")
        try:
            graph = core().read_model(str(model)) if isinstance(model, Path) else core().read_model(model, b"")
            compiled = core().compile_model(graph, DEVICE, dict(asked))
        except DeviceError:
            raise
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise DeviceError(
                f"OpenVINO cannot run {name}: {first_reason(error)}; choose --runtime onnxruntime"
            ) from error
        for key, value in asked.items():
            if (actual := property_text(compiled.get_property(key))) != value:
                raise DeviceError(
                    f"OpenVINO was asked for {key}={value} and took {actual}, so {provider.label} would not compute as "
                    "it says; choose --runtime onnxruntime"
                )
        first = compiled.inputs[0].partial_shape[0]
        self.batch: int | None = first.get_length() if first.is_static else None
        # an output has the names of all tensors that OpenVINO merged into it
        self.outputs: tuple[str, ...] = tuple(name for output in compiled.outputs for name in sorted(output.names))
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(int(asked[STREAMS])):
            self._idle.put(compiled.create_infer_request())

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """The named outputs for named inputs. Raises what OpenVINO raises."""
        arrays = {name: np.ascontiguousarray(values) for name, values in inputs.items()}
        if not _is_ready.is_set():
            with _FIRST:
                results = self._infer(outputs, arrays)
                _is_ready.set()
                return results
        return self._infer(outputs, arrays)

    def _infer(self, outputs: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> list[Floats]:
        request = self._idle.get()
        try:
            results = request.infer(arrays, share_inputs=True)
            return [np.array(results[name]) for name in outputs]  # the request's own memory is overwritten by the next
        finally:
            self._idle.put(request)


def property_text(value: object) -> str:
    """A property's value as it is written to set it: `f32`, `ACCURACY`, `YES`, `2`."""
    if isinstance(value, bool):
        return "YES" if value else "NO"
    for name in ("get_type_name", "to_string"):
        if hasattr(value, name):
            return str(getattr(value, name)())
    return str(getattr(value, "name", value))


def first_reason(error: Exception) -> str:
    """The line of an OpenVINO exception that says what is wrong: those before it name source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return next(iter(telling or lines), type(error).__name__)
