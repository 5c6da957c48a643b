"""A runtime on the CPU: each thread runs images of a batch alone, so that no thread waits for another.

Threads that share the work on one batch meet after each layer, and the first of them wait, or spin, until the last has
come. Where another process takes a core, or images are decoded meanwhile, all of them wait for the slowest. The results
are the same bytes.
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
from infer.model.openvino_session import STREAMS, OpenVinoEngine
from infer.model.providers import DIVIDED, OPENVINO_LIBRARY, Options, Provider

LARGE = 2
"""Images per thread from which a batch is divided; with fewer, threads would be idle at its end."""
SHARES = 4
"""Parts per thread: a thread on a busy core runs fewer of them. Smaller parts also need less memory."""
TOGETHER, APART = False, True
"""The ways to open a model: all threads run each batch, or each thread runs batches of its own."""


class CpuEngine:
    """A model opened for the CPU, in the way that a batch is best run; in the other as soon as a batch asks for it.

    Attributes:
        batch: the only batch size that the model takes; None where it takes any.
        outputs: the names of the outputs.
    """

    def __init__(self, model: Path | bytes, provider: Provider, threads: int | None, options: Options) -> None:
        """Arguments and errors are those of `open_onnx` and `OpenVinoEngine`."""
        own = {name: value for name, value in options.items() if name != DIVIDED}
        self._threads = threads or cores()
        is_openvino = provider.library == OPENVINO_LIBRARY
        opener = _open_openvino if is_openvino else _open_onnx
        self._open = partial(opener, provider=provider, threads=threads, options=own)
        self._content = partial(bytes, model) if isinstance(model, bytes) else _keep_open(self, model)
        divides = options.get(DIVIDED, "1") == "1" and self._threads > 1
        # OpenVINO compiles for longer than ONNX Runtime opens a file, and `auto` gives it no single image
        first = APART if divides and is_openvino else TOGETHER
        self._engines = {first: self._open(model, first)}
        self._ran: set[bool] = set()
        self._follows_large, self._may_open = False, True
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self._threads, "network")
        self.batch: int | None = self._engines[first].batch
        self.outputs: tuple[str, ...] = self._engines[first].outputs
        self._divides = divides and self.batch is None

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """The named outputs for named inputs. Raises what the runtime raises, and what opening the model does."""
        count = len(next(iter(inputs.values())))
        engine, way = self._choose(count)
        if way is TOGETHER or count == 1 or self.batch is not None:
            return engine.run(outputs, inputs)
        size = ceil(count / (SHARES * self._threads))
        starts = range(0, count, size)
        parts = [{name: array[start : start + size] for name, array in inputs.items()} for start in starts]
        results = list(self._pool.map(partial(engine.run, outputs), parts))
        return [np.concatenate(of_output) for of_output in zip(*results, strict=True)]

    def _choose(self, count: int) -> tuple[OnnxEngine | OpenVinoEngine, bool]:
        """What runs a batch of this size, and the way in which it was opened; opened when first needed.

        The batch after a large one may be the rest of the same images: it is not worth opening the model once more. A
        model that was opened in one way and has not run in it is closed: its copy of the weights is not needed.
        """
        with self._lock:
            large = self._divides and count >= LARGE * self._threads
            way = large or (self._follows_large and APART in self._engines)
            self._follows_large = large
            if way not in self._engines and (opened := self._try_open(way)):
                self._engines = {way: opened, **{other: self._engines[other] for other in self._ran}}
            way = way if way in self._engines else not way
            self._ran.add(way)
            return self._engines[way], way

    def _try_open(self, way: bool) -> OnnxEngine | OpenVinoEngine | None:
        """The model opened in the other way as well; None where that fails, as for want of memory."""
        try:
            return self._open(self._content(), way) if self._may_open else None
        except (LabError, MemoryError, OSError):
            self._may_open = False
            return None


def _open_onnx(model: Path | bytes, way: bool, provider: Provider, threads: int | None, options: Options) -> OnnxEngine:
    """A session; of threads that work apart, several may run it at once."""
    # ONNX Runtime's own number, where there is no quota, is that of physical cores
    together = threads or (cores() if is_limited() else None)
    return OnnxEngine(model, provider=provider, threads=1 if way is APART else together, options=options)


def _open_openvino(
    model: Path | bytes, way: bool, provider: Provider, threads: int | None, options: Options
) -> OpenVinoEngine:
    """A compiled model; of threads that work apart, each has a stream of its own."""
    number = threads or cores()
    own = {**options, STREAMS: str(number)} if way is APART else options
    return OpenVinoEngine(model, provider, number, own)


def _keep_open(owner: object, path: Path) -> Callable[[], bytes]:
    """What reads a file's content as it is now, also when it has been removed or replaced; closed with its owner."""
    file = path.open("rb")
    weakref.finalize(owner, file.close)

    def read() -> bytes:
        file.seek(0)
        return file.read()

    return read
