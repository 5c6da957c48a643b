"""Crop and resize on the GPU as two matrix products: Pillow's bilinear resampling to within one level of 255.

Pillow resizes rows with weights that depend on their length alone, rounds to 8 bits, and does the same with columns
(https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c). A crop selects some of these weights. So
all steps of a PixelSpec that only resizes and crops become one matrix for each axis, and a small ONNX graph applies
them to several images of one size at once. Results differ by a level where float32 is not exact at half a level, or
where Pillow 13 resizes columns first, which it does with an image that becomes much lower but hardly narrower.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats, Pixels
from infer.core.errors import DeviceError
from infer.images.preprocess import AnyResize, CenterCrop, PixelSpec
from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.onnx_writer import CODES, Node, Value, small_model
from infer.model.providers import Provider

Lengths = tuple[int, ...]
"""Lengths of an axis: of the image, after each step, and of the canvas."""

Axis = Literal["rows", "columns"]
AXES: tuple[Axis, Axis] = ("rows", "columns")
GROUPS = (32, 8, 1)
"""Numbers of images that are resized at once; each has its own graph."""
MAX_BYTES = 256 << 20
"""The most source pixels of a group, in bytes as float32."""
CACHED_BYTES = 512 << 20
"""The most memory of the device that cached matrices take: those of about 1,000 lengths."""
FLOAT32, UINT8 = CODES["float32"], CODES["uint8"]
PRECISION = 1 << 22
"""Pillow's weights are multiples of 1 / PRECISION."""


def only_resamples(spec: PixelSpec) -> bool:
    """Whether all steps of a spec are resizes and crops."""
    return all(isinstance(step, AnyResize | CenterCrop) for step in spec.steps)


def window_only(spec: PixelSpec) -> PixelSpec:
    """The spec whose canvas is the window of another one, with the same pixels."""
    return replace(spec, steps=(*spec.steps, CenterCrop(*spec.canvas)), canvas=spec.window)


def axis_lengths(spec: PixelSpec, height: int, width: int) -> tuple[Lengths, Lengths]:
    """The lengths of rows and of columns that an image of this size has on its way to the canvas.

    A length's matrix depends on nothing else, so images of many sizes share most of theirs.
    """
    sizes = [(height, width)]
    for step in _steps(spec):
        if isinstance(step, AnyResize):
            width, height = step.target(width, height)
        elif isinstance(step, CenterCrop):
            height, width = step.height, step.width
        sizes.append((height, width))
    rows, columns = zip(*sizes, strict=True)
    return rows, columns


def axis_matrix(spec: PixelSpec, lengths: Lengths) -> Floats:
    """All steps of a spec along one axis, float32 [last length, first length].

    It is built from the last step to the first, so that the weights of pixels that a crop removes are never computed.
    """
    pixels = np.arange(lengths[-1])  # of the canvas, as indices into the length that the crops so far came from
    matrix: Floats | None = None
    for before, after, step in reversed(list(zip(lengths, lengths[1:], _steps(spec), strict=False))):
        if isinstance(step, AnyResize):
            weights = _weights(before, after, pixels if matrix is None else np.arange(after))
            matrix = weights if matrix is None else (matrix.astype(np.float64) @ weights).astype(np.float32)
        elif matrix is None:
            pixels = np.where((pixels >= 0) & (pixels < after), pixels + (before - after) // 2, -1)
            pixels = np.where(pixels < before, pixels, -1)
        else:
            matrix = _uncropped(matrix, before)
    return matrix if matrix is not None else (pixels[:, None] == np.arange(lengths[0])).astype(np.float32)


def _steps(spec: PixelSpec) -> tuple[object, ...]:
    return (*spec.steps, CenterCrop(*spec.canvas))


def _weights(length: int, target: int, pixels: NDArray[np.int64]) -> Floats:
    """Antialiased bilinear weights for resizing `length` pixels to `target`, float32 [pixels, length].

    Only the rows for some of the target's pixels are computed, and of each row only the pixels within its support. A
    row sums to 1; that of a pixel outside is 0.
    """
    scale = length / target
    support = max(scale, 1.0)
    weights = np.zeros((len(pixels), length), dtype=np.float32)
    inside = np.flatnonzero((pixels >= 0) & (pixels < target))
    if not len(inside):
        return weights
    centres = (pixels[inside] + 0.5)[:, None] * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), length)
    taps = first + np.arange((last - first).max())
    within = taps < last
    triangle = np.where(within, np.maximum(1 - np.abs(taps - centres + 0.5) / support, 0), 0.0)
    rounded = np.floor(triangle / triangle.sum(axis=1, keepdims=True) * PRECISION + 0.5) / PRECISION
    weights[np.broadcast_to(inside[:, None], taps.shape)[within], taps[within]] = rounded[within]
    return weights


def _uncropped(matrix: Floats, length: int) -> Floats:
    """Extend a matrix that takes cropped pixels to one that takes the `length` pixels before the crop."""
    offset = (length - matrix.shape[1]) // 2
    extended = np.zeros((len(matrix), length), dtype=np.float32)
    start, end = max(offset, 0), min(offset + matrix.shape[1], length)
    extended[:, start:end] = matrix[:, start - offset : end - offset]
    return extended


def graph(count: int) -> bytes:
    """An ONNX model that resizes and crops `count` images of one size."""
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


class MatrixCache:
    """Matrices in a device's memory, those used latest, up to CACHED_BYTES. Threads may share it."""

    def __init__(self, load: Callable[[PixelSpec, Axis, Lengths], Any]) -> None:
        """`load` makes a matrix where it is not cached."""
        self._load, self._lock = load, threading.Lock()
        self._cached: OrderedDict[tuple[PixelSpec, Axis, Lengths], Any] = OrderedDict()
        self._bytes = self.loaded = 0

    def read(self, spec: PixelSpec, axis: Axis, lengths: Lengths) -> Any:
        """The matrix of one axis, from the cache where it is there."""
        key = spec, axis, lengths
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
                return self._cached[key]
        matrix = self._load(*key)  # not locked: two threads may make the same one, which does no harm
        with self._lock:
            self.loaded += 1
            if key not in self._cached:
                self._cached[key] = matrix
                self._bytes += _matrix_bytes(lengths)
            while self._bytes > CACHED_BYTES and len(self._cached) > 1:
                (_, _, oldest), _ = self._cached.popitem(last=False)
                self._bytes -= _matrix_bytes(oldest)
        return matrix


def _matrix_bytes(lengths: Lengths) -> int:
    return 4 * lengths[0] * lengths[-1]


class Resampler:
    """Resizes and crops images in a device's memory to canvases in the host's memory. Threads may share it."""

    def __init__(self, provider: Provider) -> None:
        """Open the graphs. Raises DeviceError where the provider is not available."""
        self._provider = provider
        self._device = provider.memory
        self._sessions = {count: self._open(count) for count in GROUPS}
        self._matrices = MatrixCache(self._load)

    def canvases(self, pointers: Sequence[int], height: int, width: int, spec: PixelSpec) -> Pixels:
        """The canvases of n images of one size, uint8 [n, canvas H, canvas W, 3].

        Args:
            pointers: n addresses in the device's memory, of an image uint8 [3, height, width] each.
            height: of each image, pixels.
            width: of each image, pixels.
            spec: has only resizes and crops.

        Raises:
            DeviceError: the device's memory is exhausted, or the graph cannot run.
        """
        limit = max(1, MAX_BYTES // (3 * height * width * 4))
        parts: list[Pixels] = []
        start = 0
        try:
            lengths = axis_lengths(spec, height, width)
            rows, columns = (self._matrices.read(spec, axis, own) for axis, own in zip(AXES, lengths, strict=True))
            while start < len(pointers):
                count = next(size for size in GROUPS if size == 1 or size <= min(limit, len(pointers) - start))
                parts.append(self._run(pointers[start : start + count], height, width, rows, columns))
                start += count
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            reason = "the memory is exhausted" if is_out_of_memory(error) else str(error).partition("\n")[0]
            raise DeviceError(
                f"--decode gpu: cannot resize images of {width} x {height} pixels: {reason}; choose --decode cpu"
            ) from error
        return np.concatenate(parts)

    def _run(self, pointers: Sequence[int], height: int, width: int, rows: Any, columns: Any) -> Pixels:
        """Run the graph for this number of images. Raises what ONNX Runtime raises."""
        session = self._sessions[len(pointers)]
        binding = session.io_binding()
        for number, pointer in enumerate(pointers):
            binding.bind_input(f"image{number}", self._device, 0, np.uint8, (1, 3, height, width), pointer)
        binding.bind_ortvalue_input("rows", rows)
        binding.bind_ortvalue_input("columns", columns)
        binding.bind_output("canvases", "cpu")
        session.run_with_iobinding(binding)
        outputs: list[Pixels] = binding.copy_outputs_to_cpu()
        return outputs[0]

    def _load(self, spec: PixelSpec, axis: Axis, lengths: Lengths) -> Any:
        """Copy a matrix to the device."""
        import onnxruntime as ort

        matrix = axis_matrix(spec, lengths)
        oriented = matrix if axis == "rows" else np.ascontiguousarray(matrix.T)
        return ort.OrtValue.ortvalue_from_numpy(oriented, self._device, 0)

    def _open(self, count: int) -> Any:
        return open_onnx(graph(count), self._provider, 1, self._provider.default_options("fp32"))
