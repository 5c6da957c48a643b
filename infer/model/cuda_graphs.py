"""CUDA graphs: a batch's work is captured once and replayed with one launch, which speeds up small batches.

ONNX Runtime replays a graph only on the thread that captured it, and while it captures, no other thread may allocate
memory on the GPU (https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html). So graphs have a
session and a thread of their own, and are captured before a pipeline starts its threads. Inputs and outputs keep
their addresses on the device.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Pixels

MAX_IMAGES = 16
"""The largest batch that is captured; a larger one keeps the GPU busy for longer than its launches take."""
GRAPH_ID = "gpu_graph_id"
"""Option of a run: the number of the graph that it captures or replays."""


class CudaGraphs:
    """The captured graphs of a network that takes uint8 `images`, by the shape of the batch."""

    def __init__(self, open_session: Callable[[], Any], memory: str, outputs: Sequence[str], width: int) -> None:
        """Nothing is captured yet.

        Args:
            open_session: opens the session that captures; called once, on the graphs' own thread.
            memory: the kind of memory that inputs and outputs lie in, `cuda` (or `cpu`, where tests run).
            outputs: names of the outputs, float32 [images, width] each.
            width: the number of columns of every output.
        """
        self._memory, self._outputs, self._width = memory, outputs, width
        self._thread = ThreadPoolExecutor(1, "cuda-graphs")
        self._open_session = functools.cache(open_session)
        self._captured: dict[tuple[int, ...], tuple[Any, list[Any], Any, Any]] = {}

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the batches that are captured, in the order of their capture."""
        return list(self._captured)

    def capture(self, shape: tuple[int, ...]) -> None:
        """Capture batches of this shape, [images, H, W, 3], unless they are large. Raises what ONNX Runtime raises."""
        if shape[0] <= MAX_IMAGES and shape not in self._captured:
            self._thread.submit(self._capture, shape).result()

    def has(self, shape: tuple[int, ...]) -> bool:
        """Whether batches of this shape are captured."""
        return shape in self._captured

    def replay(self, pixels_nhwc: Pixels) -> list[NDArray[np.float32]]:
        """All outputs for a batch whose shape is captured. Raises what ONNX Runtime raises."""
        return self._thread.submit(self._replay, pixels_nhwc).result()

    def _capture(self, shape: tuple[int, ...]) -> None:
        import onnxruntime as ort

        images = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, self._memory, 0)
        results = [
            ort.OrtValue.ortvalue_from_shape_and_type((shape[0], self._width), np.float32, self._memory, 0)
            for _ in self._outputs
        ]
        session = self._open_session()
        binding = session.io_binding()
        binding.bind_ortvalue_input("images", images)
        for name, result in zip(self._outputs, results, strict=True):
            binding.bind_ortvalue_output(name, result)
        options = ort.RunOptions()
        options.add_run_config_entry(GRAPH_ID, str(len(self._captured) + 1))
        images.update_inplace(np.zeros(shape, dtype=np.uint8))
        session.run_with_iobinding(binding, options)
        self._captured[shape] = images, results, binding, options

    def _replay(self, pixels_nhwc: Pixels) -> list[NDArray[np.float32]]:
        images, results, binding, options = self._captured[pixels_nhwc.shape]
        images.update_inplace(np.ascontiguousarray(pixels_nhwc))
        self._open_session().run_with_iobinding(binding, options)
        return [np.array(result.numpy()) for result in results]
