"""Crop and resize as two matrix products, for a device: Pillow's bilinear resampling to within one level.

Pillow resizes a row by weights that depend on its length alone, rounds to 8 bits, and then does so with the columns
(https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c). A crop chooses some of such weights. So
all steps of a PixelSpec that only resize and crop become one matrix for each axis, and a small ONNX graph applies them
to several images of one size at once. Where they differ by a level, float32 has no room for half of one, or Pillow 13
rounded columns first, as it does with an image that becomes much lower but hardly narrower.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats, Pixels
from infer.core.errors import DeviceError
from infer.images.preprocess import AnyResize, CenterCrop, PixelSpec
from infer.model.cuda import CUDA
from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.onnx_writer import CODES, Node, Value, small_model
from infer.model.provider_options import default_options

Matrix = NDArray[np.float64]

GROUPS = (32, 8, 1)
"""Images at once; each number has a graph of its own."""
MOST_BYTES = 256 << 20
"""Of the source pixels of a group, as float32."""
KEPT = 64
"""Sizes of images whose matrices are kept."""
FLOAT32, UINT8 = CODES["float32"], CODES["uint8"]
PRECISION = 1 << 22
"""Pillow's weights are whole multiples of 1 / PRECISION."""


def only_resamples(spec: PixelSpec) -> bool:
    """Whether a spec's steps are resizes and crops alone."""
    return all(isinstance(step, AnyResize | CenterCrop) for step in spec.steps)


def matrices(spec: PixelSpec, height: int, width: int) -> tuple[Floats, Floats]:
    """What makes a canvas of an image: rows float32 [canvas H, height] and columns float32 [width, canvas W].

    With several resizes, what is rounded between them is not rounded here.
    """
    steps = (*spec.steps, CenterCrop(*spec.canvas))
    sizes = [(height, width)]
    for step in steps:
        if isinstance(step, AnyResize):
            width, height = step.target(width, height)
        elif isinstance(step, CenterCrop):
            height, width = step.height, step.width
        sizes.append((height, width))
    resizes = [isinstance(step, AnyResize) for step in steps]
    rows, columns = (_matrix(lengths, resizes) for lengths in zip(*sizes, strict=True))
    return rows.astype(np.float32), np.ascontiguousarray(columns.T, dtype=np.float32)


def _matrix(lengths: Sequence[int], resizes: Sequence[bool]) -> Matrix:
    """All steps along one axis, [last length, first length]; each is a resize or a crop from one length to the next.

    It is made from the last step to the first, so that what a crop leaves out is never computed.
    """
    places = np.arange(lengths[-1])
    found: Matrix | None = None
    for before, after, is_resize in reversed(list(zip(lengths, lengths[1:], resizes, strict=False))):
        if is_resize:
            found = (
                _weights(before, after, places) if found is None else found @ _weights(before, after, np.arange(after))
            )
        elif found is None:
            places = np.where((places >= 0) & (places < after), places + (before - after) // 2, -1)
            places = np.where(places < before, places, -1)
        else:
            found = _uncropped(found, before)
    return found if found is not None else (places[:, None] == np.arange(lengths[0])).astype(np.float64)


def _weights(length: int, target: int, places: NDArray[np.int64]) -> Matrix:
    """Antialiased bilinear weights of some places of a target, [places, length]; each row adds up to 1.

    A place outside the target has none.
    """
    scale = length / target
    support = max(scale, 1.0)
    found = np.zeros((len(places), length))
    inside = (places >= 0) & (places < target)
    centres = (places[inside] + 0.5)[:, None] * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), length)
    if not len(centres):
        return found
    span = np.arange(first.min(), last.max())
    triangle = np.maximum(1 - np.abs(span - centres + 0.5) / support, 0)
    within = np.where((span >= first) & (span < last), triangle, 0.0)
    found[inside, span[0] : span[-1] + 1] = (
        np.floor(within / within.sum(axis=1, keepdims=True) * PRECISION + 0.5) / PRECISION
    )
    return found


def _uncropped(matrix: Matrix, length: int) -> Matrix:
    """Of a matrix for what a crop leaves of `length` places, the one for all of them."""
    offset = (length - matrix.shape[1]) // 2
    found = np.zeros((len(matrix), length))
    start, end = max(offset, 0), min(offset + matrix.shape[1], length)
    found[:, start:end] = matrix[:, start - offset : end - offset]
    return found


def graph(count: int) -> bytes:
    """The ONNX model that makes canvases of `count` images of one size."""
    images = [Value(f"image{number}", "uint8", [1, 3, "height", "width"]) for number in range(count)]
    nodes = [
        Node("Concat", [image.name for image in images], "images", {"axis": 0}),
        Node("Cast", ["images"], "source", {"to": FLOAT32}),
        Node("MatMul", ["source", "columns"], "narrow"),
        Node("Add", ["narrow", "half"], "narrow_up"),
        Node("Floor", ["narrow_up"], "narrow_rounded"),
        Node("MatMul", ["rows", "narrow_rounded"], "low"),
        Node("Add", ["low", "half"], "low_up"),
        Node("Cast", ["low_up"], "planes", {"to": UINT8}),  # rounds down
        Node("Transpose", ["planes"], "canvases", {"perm": [0, 2, 3, 1]}),
    ]
    rows, columns = Value("rows", "float32", ["rows", "height"]), Value("columns", "float32", ["width", "columns"])
    canvases = Value("canvases", "uint8", [count, "rows", "columns", 3])
    return small_model(nodes, [*images, rows, columns], [canvases], {"half": np.array(0.5, dtype=np.float32)})


class Resampler:
    """Images of any size on a device to canvases in the host's memory. Threads may share it."""

    def __init__(self, provider: str) -> None:
        """Raises DeviceError where the provider cannot be had."""
        self._provider = provider
        self._place = "cuda" if provider == CUDA else "cpu"
        self._sessions = {count: self._open(count) for count in GROUPS}
        self._matrices = functools.lru_cache(KEPT)(self._load)

    def canvases(self, pointers: Sequence[int], height: int, width: int, spec: PixelSpec) -> Pixels:
        """Canvases, uint8 [n, canvas H, canvas W, 3].

        Args:
            pointers: where on the device n images begin, uint8 [3, height, width] each.
            height: of each image, pixels.
            width: of each image, pixels.
            spec: only resizes and crops.

        Raises:
            DeviceError: the device's memory is exhausted, or the graph cannot run.
        """
        room = max(1, MOST_BYTES // (3 * height * width * 4))
        made: list[Pixels] = []
        at = 0
        try:
            rows, columns = self._matrices(spec, height, width)
            while at < len(pointers):
                count = next(size for size in GROUPS if size == 1 or size <= min(room, len(pointers) - at))
                made.append(self._run(pointers[at : at + count], height, width, rows, columns))
                at += count
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            what = "the memory is exhausted" if is_out_of_memory(error) else str(error).partition("\n")[0]
            raise DeviceError(
                f"--decode gpu: cannot resize images of {width} x {height} pixels: {what}; choose --decode cpu"
            ) from error
        return np.concatenate(made)

    def _run(self, pointers: Sequence[int], height: int, width: int, rows: Any, columns: Any) -> Pixels:
        """Raises what ONNX Runtime raises."""
        session = self._sessions[len(pointers)]
        binding = session.io_binding()
        for number, pointer in enumerate(pointers):
            binding.bind_input(f"image{number}", self._place, 0, np.uint8, (1, 3, height, width), pointer)
        binding.bind_ortvalue_input("rows", rows)
        binding.bind_ortvalue_input("columns", columns)
        binding.bind_output("canvases", "cpu")
        session.run_with_iobinding(binding)
        found: list[Pixels] = binding.copy_outputs_to_cpu()
        return found[0]

    def _load(self, spec: PixelSpec, height: int, width: int) -> list[Any]:
        """The matrices on the device."""
        import onnxruntime as ort

        return [ort.OrtValue.ortvalue_from_numpy(it, self._place, 0) for it in matrices(spec, height, width)]

    def _open(self, count: int) -> Any:
        return open_onnx(graph(count), self._provider, 1, default_options(self._provider, "fp32"))
