"""CUDA graphs: the work of a batch is recorded once and then replayed by one launch, from which small batches gain.

ONNX Runtime runs a session that records from one thread alone, keeps what it recorded for that thread, and while it
records, no other may allocate memory on the GPU
(https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html). So recordings have a session and a thread
of their own, and are made before a pipeline's threads start. Inputs and outputs stay where they are on the device.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Pixels

MOST_IMAGES = 16
"""Of a batch that is worth recording; a larger one keeps the GPU busy for longer than its launches take."""
GRAPH_ID = "gpu_graph_id"
"""Of a run: which of a session's recordings it makes or replays."""


class Recorded:
    """What was recorded of a network that takes uint8 `images`, by their shape."""

    def __init__(self, open_session: Callable[[], Any], on_gpu: bool, outputs: Sequence[str], width: int) -> None:
        """`open_session` gives a session that records; each of its `outputs` is float32 [images, width]."""
        self._place, self._outputs, self._width = "cuda" if on_gpu else "cpu", outputs, width
        self._thread = ThreadPoolExecutor(1, "recorded")
        self._open_session = functools.cache(open_session)
        self._bound: dict[tuple[int, ...], tuple[Any, list[Any], Any, Any]] = {}

    def record(self, shape: tuple[int, ...]) -> None:
        """Record batches of this shape, [images, H, W, 3]; large ones are not. Raises what ONNX Runtime raises."""
        if shape[0] <= MOST_IMAGES and shape not in self._bound:
            self._thread.submit(self._record, shape).result()

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Whether batches of this shape are recorded."""
        return shape in self._bound

    def run(self, pixels_nhwc: Pixels) -> list[NDArray[np.float32]]:
        """All outputs, for a batch of a recorded shape. Raises what ONNX Runtime raises."""
        return self._thread.submit(self._replay, pixels_nhwc).result()

    def _record(self, shape: tuple[int, ...]) -> None:
        import onnxruntime as ort

        images = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, self._place, 0)
        results = [
            ort.OrtValue.ortvalue_from_shape_and_type((shape[0], self._width), np.float32, self._place, 0)
            for _ in self._outputs
        ]
        session = self._open_session()
        binding = session.io_binding()
        binding.bind_ortvalue_input("images", images)
        for name, result in zip(self._outputs, results, strict=True):
            binding.bind_ortvalue_output(name, result)
        options = ort.RunOptions()
        options.add_run_config_entry(GRAPH_ID, str(len(self._bound) + 1))
        images.update_inplace(np.zeros(shape, dtype=np.uint8))
        session.run_with_iobinding(binding, options)
        self._bound[shape] = images, results, binding, options

    def _replay(self, pixels_nhwc: Pixels) -> list[NDArray[np.float32]]:
        images, results, binding, options = self._bound[pixels_nhwc.shape]
        images.update_inplace(np.ascontiguousarray(pixels_nhwc))
        self._open_session().run_with_iobinding(binding, options)
        return [np.array(result.numpy()) for result in results]
