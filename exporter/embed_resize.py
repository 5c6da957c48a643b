"""The resize and the crops of a card as operators of the graph, which then takes a decoded image of any size.

A bilinear resize is a product with a matrix of weights for each axis, and a crop selects some of its rows. The graph
makes both matrices from the image's height and width, as Pillow makes its weights
(https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c), and rounds after each axis, as Pillow
does. ONNX's Resize could do it from opset 18 on, but OpenVINO ignores its `antialias` in silence, so the network would
see another picture there; products mean the same everywhere. Distances between pixels are whole numbers of a common
unit, so float32 rounds nothing but the quotients.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infer.core.errors import ConfigError
from infer.images.preprocess import AnyResize, CenterCrop, PixelSpec, Resize, ResizeLonger
from infer.images.window_option import FILE
from infer.model.card import ModelCard
from infer.pipeline.gpu_resize import PRECISION, axis_lengths, axis_matrix

PIXELS = "pixels_nhwc"
"""The value, float32 [1, H, W, 3] of whole numbers, that the rest of the graph takes."""
FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64


def embedding_problem(spec: PixelSpec) -> str:
    """Why a graph cannot make the pixels that a spec describes, for people; "" where it can."""
    others = [type(step).__name__ for step in spec.steps if not isinstance(step, AnyResize | CenterCrop)]
    if others:
        return f"the images are enhanced first ({', '.join(others)}), which ONNX has no operators for"
    if spec.dicom_window != FILE:
        return f"the pixels are DICOM values in the window {spec.dicom_window}, which a decoded image no longer has"
    if any(isinstance(step, AnyResize) for step in spec.steps[1:]) and isinstance(spec.steps[0], AnyResize):
        return "the images are resized twice"
    return ""


def whole_image_card(card: ModelCard) -> ModelCard:
    """The card of a file that resizes whole images itself: they are decoded at full scale.

    Raises:
        ConfigError: a graph cannot make the card's pixels.
    """
    if problem := embedding_problem(card.pixels):
        raise ConfigError(f"--embed-resize is not possible for this network: {problem}; leave it out")
    return replace(card, pixels=replace(card.pixels, reduced_decode=False))


def embed_resize(graph: onnx.GraphProto, spec: PixelSpec, image: str, replaced: onnx.NodeProto) -> None:
    """Put a spec's resize and crops in the place of a graph's first node, which takes the pixels and gives float32.

    Args:
        graph: takes uint8 [batch, H, W, 3]; afterwards `image`, uint8 [height, width, 3], and its batch is 1.
        spec: one for which `embedding_problem` knows none.
        image: name of the new input.
        replaced: the cast of the graph's images.
    """
    front = _Front(image)
    if spec.steps and isinstance(spec.steps[0], AnyResize):
        planes = _resized_first(front, spec, spec.steps[0])
    else:
        planes = _cropped_first(front, spec)
    hwc = front.add("Transpose", planes, perm=[1, 2, 0])
    front.nodes.append(helper.make_node("Unsqueeze", [hwc, front.constant([0])], [PIXELS], name="resize_batch"))
    graph.node.remove(replaced)
    for node in graph.node:
        node.input[:] = [PIXELS if name == replaced.output[0] else name for name in node.input]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*front.nodes, *rest])
    graph.initializer.extend(front.constants)
    graph.input[0].CopyFrom(helper.make_tensor_value_info(image, TensorProto.UINT8, ["height", "width", 3]))


class _Front:
    """The nodes and constants of the part that is added."""

    def __init__(self, image: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.image = image
        shape = self.add("Shape", image)
        self.lengths = tuple(self.add("Gather", shape, self.constant(axis), axis=0) for axis in (0, 1))
        """Names of the image's height and width, int64 scalars."""

    def constant(self, value: object, dtype: type = np.int64) -> str:
        """Add a constant; returns its name."""
        name = f"resize_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = f"resize_{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def cast(self, value: str, dtype: int) -> str:
        """Add a conversion to another type."""
        return self.add("Cast", value, to=dtype)

    def half_down(self, value: str) -> str:
        """floor(value / 2) of whole numbers, which may be negative; ONNX's own division rounds towards 0."""
        halves = self.add("Mul", self.cast(value, FLOAT), self.constant(0.5, np.float32))
        return self.cast(self.add("Floor", halves), INT64)

    def product(self, rows: str | None, planes: str, columns: str) -> str:
        """Resize planes [3, h, w] to [3, rows, columns], rounding to whole numbers after each axis, columns first."""
        narrow = self._rounded(self.add("MatMul", planes, columns))
        return self._rounded(self.add("MatMul", rows, narrow)) if rows else narrow

    def _rounded(self, value: str) -> str:
        return self.add("Floor", self.add("Add", value, self.constant(0.5, np.float32)))


def _resized_first(front: _Front, spec: PixelSpec, step: AnyResize) -> str:
    """The window's planes, float32 [3, H, W], where the image is resized and then only cropped."""
    sizes = [(crop.height, crop.width) for crop in spec.steps[1:] if isinstance(crop, CenterCrop)]
    sizes += [spec.canvas, spec.window]
    targets = _targets(front, step)
    rows, columns = (
        _weights(front, front.lengths[axis], targets[axis], [size[axis] for size in sizes]) for axis in (0, 1)
    )
    planes = front.add("Transpose", front.cast(front.image, FLOAT), perm=[2, 0, 1])
    return front.product(rows, planes, front.add("Transpose", columns, perm=[1, 0]))


def _targets(front: _Front, step: AnyResize) -> tuple[str, str]:
    """Height and width after the resize: int64 scalars, rounded in double precision as Python's `round` does."""
    if isinstance(step, Resize):
        return front.constant(step.height), front.constant(step.width)
    side = front.add("Max" if isinstance(step, ResizeLonger) else "Min", *front.lengths)
    scale = front.add("Div", front.constant(step.size, np.float64), front.cast(side, DOUBLE))
    scaled = [front.add("Round", front.add("Mul", front.cast(length, DOUBLE), scale)) for length in front.lengths]
    height, width = (front.add("Max", front.cast(length, INT64), front.constant(1)) for length in scaled)
    return height, width


def _weights(front: _Front, length: str, target: str, crops: Sequence[int]) -> str:
    """Weights of the source's pixels for the window's along one axis, float32 [window, length].

    Pixel i of `length` and pixel x of `target` are |(2 i + 1) target - (2 x + 1) length| / (2 target) apart in it.
    The triangle is as wide as the larger of both: its support in the source is max(length / target, 1).

    Args:
        front: receives the nodes.
        length: of the source, int64 scalar.
        target: of the resized image, likewise.
        crops: the lengths to which it is cropped, one after another; the last is the window.
    """
    positions, visible = _first_crop_positions(crops)
    offset = front.half_down(front.add("Sub", target, front.constant(crops[0])))
    x = front.add("Add", front.constant(positions[:, None]), offset)
    source = front.add("Range", front.constant(0), length, front.constant(1))
    distance = front.add("Sub", front.add("Mul", _odd(front, source), target), front.add("Mul", _odd(front, x), length))
    reach = front.add("Mul", front.add("Max", target, length), front.constant(2))
    triangle = front.add("Relu", front.cast(front.add("Sub", reach, front.add("Abs", distance)), FLOAT))
    total = front.add("ReduceSum", triangle, front.constant([1]), keepdims=1)
    shares = front.add("Div", triangle, front.add("Max", total, front.constant(1, np.float32)))
    unit = front.constant(PRECISION, np.float32)
    weights = front.add("Div", front._rounded(front.add("Mul", shares, unit)), unit)
    inside = front.add("And", front.add("Less", front.constant(-1), x), front.add("Less", x, target))
    black_outside = front.add("Mul", front.cast(inside, FLOAT), front.constant(visible[:, None], np.float32))
    return front.add("Mul", weights, black_outside)


def _odd(front: _Front, value: str) -> str:
    """2 value + 1: twice the centre of a pixel."""
    return front.add("Add", front.add("Mul", value, front.constant(2)), front.constant(1))


def _first_crop_positions(crops: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The window's pixels as indices into the first of nested centre crops, and whether each lies in all of them."""
    positions = np.arange(crops[-1])
    visible = np.ones(crops[-1], dtype=bool)
    for before, after in reversed(list(pairwise(crops))):
        positions = positions + (before - after) // 2
        visible &= (positions >= 0) & (positions < before)
    return positions, visible


def _cropped_first(front: _Front, spec: PixelSpec) -> str:
    """The window's planes, float32 [3, H, W], where the image is cropped first: all later sizes are known here."""
    rest = replace(spec, steps=(*spec.steps, CenterCrop(*spec.canvas)), canvas=spec.window, reduced_decode=False)
    first = rest.steps[0]
    assert isinstance(first, CenterCrop)
    planes = front.add("Transpose", _crop(front, (first.height, first.width)), perm=[2, 0, 1])
    rest = replace(rest, steps=rest.steps[1:])
    rows, columns = (axis_matrix(rest, lengths) for lengths in axis_lengths(rest, first.height, first.width))
    return front.product(front.constant(rows, np.float32), planes, front.constant(columns.T, np.float32))


def _crop(front: _Front, size: tuple[int, int]) -> str:
    """The image's centre, float32 [*size, 3], black where the image is smaller."""
    starts, ends, before, after = [], [], [], []
    zero = front.constant([0])
    for length, wanted in zip(front.lengths, size, strict=True):
        side = front.constant([wanted])
        spare = front.add("Sub", front.add("Unsqueeze", length, zero), side)
        offset = front.half_down(spare)
        starts.append(front.add("Max", offset, zero))
        ends.append(front.add("Add", starts[-1], side))
        before.append(front.add("Max", front.add("Neg", offset), zero))
        missing = front.add("Max", front.add("Neg", spare), zero)
        after.append(front.add("Sub", missing, before[-1]))
    edges = (front.add("Concat", *values, axis=0) for values in (starts, ends))
    cut = front.add("Slice", front.cast(front.image, FLOAT), *edges, front.constant([0, 1]))
    pads = front.add("Concat", *before, zero, *after, zero, axis=0)
    return front.add("Pad", cut, pads)
