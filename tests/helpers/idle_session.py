"""A session on CUDA libraries that do nothing, and what it called: for the child process of helpers/idle_cuda.py."""

import contextlib
import ctypes
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from helpers.idle_cuda import CUDA_RUNTIME
from infer.core.errors import DeviceError
from infer.model.cuda_graphs import CudaGraphs
from infer.model.onnx_session import FATAL, open_onnx, runtime
from infer.model.providers import CUDA, CUDA_GRAPH, Options

ERROR = 3
"""ONNX Runtime's log level for errors."""


@dataclass(frozen=True)
class Outcome:
    """What became of a model."""

    error: str
    """Why it was not opened; "" where it was."""
    calls: Counter[str]
    """How often the run called each function, by name; `heuristics` and `plans` count what it asked of cuDNN."""
    printed: str
    """What appeared on standard error."""

    @property
    def kernels(self) -> int:
        """Launches of ONNX Runtime's own kernels."""
        return sum(count for name, count in self.calls.items() if "LaunchKernel" in name)


def open_and_run(
    model: Path, options: Options, shape: tuple[int, ...] | None = None, classes: int = 0, loud: bool = False
) -> Outcome:
    """Open a model on CUDA as lab does, and run it once; where the options ask for a CUDA graph, capture and replay it.

    Args:
        model: an exported file.
        options: of the session and of the provider.
        shape: of the uint8 images, [n, H, W, 3]; None: the model is only opened.
        classes: the width of its logits, which a CUDA graph must know.
        loud: lets ONNX Runtime's default logger print errors, which lab silences.

    Raises:
        Exception: of ONNX Runtime, where the run fails.
    """
    with tempfile.TemporaryFile() as printed, _standard_error_in(printed.fileno()):
        try:
            session = open_onnx(model, CUDA, 1, options)
        except DeviceError as error:
            return Outcome(str(error), Counter(), "")
        runtime().set_default_logger_severity(ERROR if loud else FATAL)
        before = _calls()
        if shape and options.get(CUDA_GRAPH) == "1":
            graphs = CudaGraphs(partial(open_onnx, model, CUDA, 1, options), CUDA.memory, ["logits"], classes)
            graphs.capture(shape)
            graphs.replay(np.zeros(shape, np.uint8))
        elif shape:
            session.run(None, {"images": np.zeros(shape, np.uint8)})
        calls = _calls() - before
        printed.seek(0)
        return Outcome("", calls, printed.read().decode(errors="replace"))


def _calls() -> Counter[str]:
    """What the libraries have counted in this process, by name."""
    library, name = ctypes.CDLL(CUDA_RUNTIME), ctypes.c_char_p()
    library.idle_calls.restype = ctypes.c_long
    numbers = (library.idle_calls(number, ctypes.byref(name)) for number in itertools.count())
    calls = itertools.takewhile(lambda count: count >= 0, numbers)
    return Counter({(name.value or b"").decode(): count for count in calls})


@contextlib.contextmanager
def _standard_error_in(descriptor: int) -> Iterator[None]:
    """Send what this process and its libraries write to standard error to a file."""
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
