"""ONNX Runtime on the CPU: each thread runs images of a batch alone, so that no thread waits for another.

Threads that share the work on one batch meet after each layer, and spin until the last has come. Where another process
takes a core, or images are decoded meanwhile, all of them wait for the slowest. The results are the same bytes.
"""

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.core.cpu import cores, is_limited
from infer.core.errors import LabError
from infer.model.onnx_session import OnnxEngine
from infer.model.providers import DIVIDED, Options, Provider

LARGE = 2
"""Images per thread from which a batch is divided; with fewer, threads would be idle at its end."""
SHARES = 4
"""Parts per thread: a thread on a busy core runs fewer of them. Smaller parts also need less memory."""


class CpuEngine:
    """A model opened by ONNX Runtime on the CPU. A batch of few images is run by all threads together.

    Attributes:
        batch: the only batch size that the model takes; None where it takes any.
        outputs: the names of the outputs.
    """

    def __init__(self, model: Path | bytes, provider: Provider, threads: int | None, options: Options) -> None:
        """Arguments and errors are those of `open_onnx`."""
        own = {name: value for name, value in options.items() if name != DIVIDED}
        self._threads = threads or cores()
        # ONNX Runtime's own number, where there is no quota, is that of physical cores
        self._shared_threads = threads or (cores() if is_limited() else None)
        self._open = partial(OnnxEngine, provider=provider, options=own)
        self._content = partial(bytes, model) if isinstance(model, bytes) else _keep_open(self, model)
        self._together: OnnxEngine | None = self._open(model, threads=self._shared_threads)
        self._apart: OnnxEngine | None = None
        self._has_run_together = self._follows_large = False
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self._threads, "network")
        self.batch: int | None = self._together.batch
        self.outputs: tuple[str, ...] = self._together.outputs
        self._divides = options.get(DIVIDED, "1") == "1" and self._threads > 1 and self.batch is None

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """The named outputs for named inputs. Raises what ONNX Runtime raises, and what `open_onnx` does."""
        count = len(next(iter(inputs.values())))
        engine, apart = self._choose(count)
        if not apart or count == 1:
            return engine.run(outputs, inputs)
        size = ceil(count / (SHARES * self._threads))
        starts = range(0, count, size)
        parts = [{name: array[start : start + size] for name, array in inputs.items()} for start in starts]
        results = list(self._pool.map(partial(engine.run, outputs), parts))
        return [np.concatenate(of_output) for of_output in zip(*results, strict=True)]

    def _choose(self, count: int) -> tuple[OnnxEngine, bool]:
        """What runs a batch of this size, and whether threads run its images apart; opened when first needed.

        The batch after a large one may be the rest of the same images: it is not worth another session.
        """
        with self._lock:
            large = self._divides and count >= LARGE * self._threads
            if self._apart is not None and (large or self._follows_large):
                self._follows_large = large
                return self._apart, True
            if large and (apart := self._try_open(1)):
                if not self._has_run_together:
                    self._together = None  # its copy of the weights is not needed
                self._apart, self._follows_large = apart, True
                return apart, True
            self._together = self._together or self._try_open(self._shared_threads)
            self._has_run_together = True
            return self._together or self._existing_apart(), self._together is None

    def _try_open(self, threads: int | None) -> OnnxEngine | None:
        """The model once more with another number of threads; None where that fails, as for want of memory."""
        try:
            return self._open(self._content(), threads=threads)
        except (LabError, MemoryError, OSError):
            self._divides = False
            return None

    def _existing_apart(self) -> OnnxEngine:
        assert self._apart is not None  # one of the two is always open
        return self._apart


def _keep_open(owner: object, path: Path) -> Callable[[], bytes]:
    """What reads a file's content as it is now, also when it has been removed or replaced; closed with its owner."""
    file = path.open("rb")
    weakref.finalize(owner, file.close)

    def read() -> bytes:
        file.seek(0)
        return file.read()

    return read
