"""Crop and resize on the GPU as two matrix products: Pillow's bilinear resampling to within one level of 255.

Pillow resizes rows with weights that depend on their length alone, rounds to 8 bits, and does the same with columns
(https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c). A crop selects some of these weights. So
all steps of a PixelSpec that only resizes and crops become one matrix for each axis, and a small ONNX graph applies
them to several images of one size at once. Results differ by a level where float32 is not exact at half a level, or
where Pillow 13 resizes columns first, which it does with an image that becomes much lower but hardly narrower.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats, Pixels
from infer.core.errors import DeviceError
from infer.images.preprocess import AnyResize, CenterCrop, PixelSpec
from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.onnx_writer import CODES, Node, Value, small_model
from infer.model.providers import Provider

Matrix = NDArray[np.float64]

GROUPS = (32, 8, 1)
"""Numbers of images that are resized at once; each has its own graph."""
MAX_BYTES = 256 << 20
"""The most source pixels of a group, in bytes as float32."""
CACHED_SIZES = 64
"""Image sizes whose matrices are cached."""
FLOAT32, UINT8 = CODES["float32"], CODES["uint8"]
PRECISION = 1 << 22
"""Pillow's weights are multiples of 1 / PRECISION."""


def only_resamples(spec: PixelSpec) -> bool:
    """Whether all steps of a spec are resizes and crops."""
    return all(isinstance(step, AnyResize | CenterCrop) for step in spec.steps)


def matrices(spec: PixelSpec, height: int, width: int) -> tuple[Floats, Floats]:
    """The matrices that make a canvas of an image: rows @ plane @ columns.

    With several resizes, there is no rounding between them here.

    Returns:
        rows, float32 [canvas H, height], and columns, float32 [width, canvas W].
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

    It is built from the last step to the first, so that the weights of pixels that a crop removes are never computed.
    """
    pixels = np.arange(lengths[-1])  # of the canvas, as indices into the length that the crops so far came from
    matrix: Matrix | None = None
    for before, after, is_resize in reversed(list(zip(lengths, lengths[1:], resizes, strict=False))):
        if is_resize:
            weights = _weights(before, after, pixels if matrix is None else np.arange(after))
            matrix = weights if matrix is None else matrix @ weights
        elif matrix is None:
            pixels = np.where((pixels >= 0) & (pixels < after), pixels + (before - after) // 2, -1)
            pixels = np.where(pixels < before, pixels, -1)
        else:
            matrix = _uncropped(matrix, before)
    return matrix if matrix is not None else (pixels[:, None] == np.arange(lengths[0])).astype(np.float64)


def _weights(length: int, target: int, pixels: NDArray[np.int64]) -> Matrix:
    """Antialiased bilinear weights for resizing `length` pixels to `target`, [pixels, length].

    Only the rows for some of the target's pixels are computed. A row sums to 1; that of a pixel outside is 0.
    """
    scale = length / target
    support = max(scale, 1.0)
    weights = np.zeros((len(pixels), length))
    inside = (pixels >= 0) & (pixels < target)
    centres = (pixels[inside] + 0.5)[:, None] * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), length)
    if not len(centres):
        return weights
    span = np.arange(first.min(), last.max())
    triangle = np.maximum(1 - np.abs(span - centres + 0.5) / support, 0)
    within = np.where((span >= first) & (span < last), triangle, 0.0)
    weights[inside, span[0] : span[-1] + 1] = (
        np.floor(within / within.sum(axis=1, keepdims=True) * PRECISION + 0.5) / PRECISION
    )
    return weights


def _uncropped(matrix: Matrix, length: int) -> Matrix:
    """Extend a matrix that takes cropped pixels to one that takes the `length` pixels before the crop."""
    offset = (length - matrix.shape[1]) // 2
    extended = np.zeros((len(matrix), length))
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


class Resampler:
    """Resizes and crops images in a device's memory to canvases in the host's memory. Threads may share it."""

    def __init__(self, provider: Provider) -> None:
        """Open the graphs. Raises DeviceError where the provider is not available."""
        self._provider = provider
        self._device = provider.memory
        self._sessions = {count: self._open(count) for count in GROUPS}
        self._matrices = functools.lru_cache(CACHED_SIZES)(self._load)

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
            rows, columns = self._matrices(spec, height, width)
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

    def _load(self, spec: PixelSpec, height: int, width: int) -> list[Any]:
        """Copy the matrices to the device."""
        import onnxruntime as ort

        return [ort.OrtValue.ortvalue_from_numpy(item, self._device, 0) for item in matrices(spec, height, width)]

    def _open(self, count: int) -> Any:
        return open_onnx(graph(count), self._provider, 1, self._provider.default_options("fp32"))
