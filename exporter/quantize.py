"""A float32 graph to int8 for CPUs: convolutions in 8 bits, weights per channel, the last layer in float.

Pairs of quantize and dequantize operators surround what is computed in 8 bits (QDQ), so the file stays plain ONNX.
Ranges of activations are measured on training images, read by the pixel path of prediction. uint8 activations with int8
weights are what VNNI multiplies. Weights take 7 of their 8 bits: processors with AVX2 but without VNNI add two products
in 16 bits, which overflow with 8, so that answers would depend on the processor, the runtime and its options.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from exporter.capture import captured_output, first_and_last
from exporter.parity import relative_error
from infer.core.arrays import Floats, Pixels
from infer.core.errors import DataError, ExportError, ImageError
from infer.core.temporary import temporary_folder
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import PixelSpec, read_window
from infer.model.precision import NARROW_BITS
from infer.model.providers import CPU
from infer.model.session import Session

MIN_IMAGES = 16
"""Ranges measured on fewer images mean nothing."""
HELD_OUT = 5
"""Every fifth image is held out of the calibration; the quantised graph is judged on these."""
BATCH = 16
OPERATORS = ("Conv", "Relu", "Add", "MaxPool")
"""Operators computed in 8 bits. The mean over each feature map, the last layer and softmax are not: they cost no time,
and 8 bits after them would be the resolution of the probabilities."""
MAX_NOISE = 0.25
"""Largest relative error of int8's logits that the gate accepts; trained ResNets have 0.02 to 0.05."""
SENSITIVE = MAX_NOISE / 2
"""Above this relative error of the logits, layers are tried alone, and the worst go back to float."""
MAX_FLOAT = 0.25
"""The largest share of the convolutions that goes back to float; a network that needs more is not for int8."""


@dataclass(frozen=True)
class Quantized:
    """An int8 graph and how it was made."""

    model: onnx.ModelProto
    float_layers: tuple[str, ...]
    """Layers that were left in float, by their names in the network."""
    noise: float
    """The logits' relative error on the images held out."""
    calibrated_on: int
    """The number of images on which ranges were measured."""


def read_calibration(files: Sequence[str], spec: PixelSpec) -> Pixels:
    """The evaluation views of training images, uint8 [n, H, W, 3], without those that cannot be read.

    Raises:
        DataError: fewer than MIN_IMAGES can be read.
    """
    views = read_ahead(files, lambda file: read_window(file, spec))
    readable = [view for view in views if not isinstance(view, ImageError)]
    if len(readable) < MIN_IMAGES:
        raise DataError(
            f"int8 is calibrated on training images and needs {MIN_IMAGES}; {len(readable)} of {len(files)} can be "
            "read; give more with --calibration-images, or their folder with --data"
        )
    return np.stack(readable)


def to_int8(
    model: onnx.ModelProto, pixels_nhwc: Pixels, say: Callable[[str], None]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The int8 graph of a float32 graph, as `quantize`, and how it was made, for the card."""
    quantized = quantize(model, pixels_nhwc, say)
    count, held_out = quantized.calibrated_on, len(pixels_nhwc) - quantized.calibrated_on
    say(
        f"int8: calibrated on {count} training images, logits off by {quantized.noise:.1%} on {held_out} others; "
        f"in float: {', '.join(quantized.float_layers)}"
    )
    record = {
        "calibrated_on": count,
        "noise": round(quantized.noise, 6),
        "in_float": list(quantized.float_layers),
        "weight_bits": weight_bits(quantized.model),
    }
    return quantized.model, record


def weight_bits(model: onnx.ModelProto) -> int:
    """The bits that a graph's int8 weights take: NARROW_BITS, or 8 where one is too large for that."""
    weights = [numpy_helper.to_array(item) for item in model.graph.initializer if item.data_type == TensorProto.INT8]
    largest = max((int(np.abs(values.astype(np.int16)).max(initial=0)) for values in weights), default=0)
    return NARROW_BITS if largest <= 1 << (NARROW_BITS - 1) else 8


def quantize(model: onnx.ModelProto, pixels_nhwc: Pixels, say: Callable[[str], None] = lambda text: None) -> Quantized:
    """Quantise a float32 graph at its own opset.

    Args:
        model: made by `build_graph`, with any batch size.
        pixels_nhwc: evaluation views of training images, uint8 [n, H, W, 3].
        say: receives a message where layers are tried alone, which takes its time.

    Raises:
        ExportError: ONNX Runtime's quantizer failed.
    """
    held_out = np.arange(len(pixels_nhwc)) % HELD_OUT == HELD_OUT - 1
    names = _layers(model, "Conv")
    with temporary_folder() as folder, _temporary_files_in(folder):
        trial = _Trial(folder, model, pixels_nhwc[~held_out], pixels_nhwc[held_out])
        noise, ranked = trial.noise([]), list[str]()
        if noise > SENSITIVE:
            say(f"int8 is off by {noise:.0%} on average: trying each of {len(names)} layers alone")
            ranked = sorted(names, key=lambda node: trial.noise([other for other in names if other != node]))[::-1]
        kept = 0
        while noise > SENSITIVE and kept < len(names) * MAX_FLOAT:
            kept += 1
            noise = trial.noise(ranked[:kept])
        layers = (*(names[node] for node in ranked[:kept]), *_layers(model, "Gemm").values())
        return Quantized(onnx.load(trial.quantized), layers, noise, int((~held_out).sum()))


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let libraries put their temporary files into a folder, from which they go although the process is killed."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


class _Trial:
    """A folder with the float graph and the ranges of its tensors, which are measured once."""

    def __init__(self, folder: Path, model: onnx.ModelProto, calibration: Pixels, held_out: Pixels) -> None:
        self.folder, self.calibration, self.held_out = folder, calibration, held_out
        self.plain, self.quantized = folder / "float.onnx", folder / "int8.onnx"
        onnx.save(model, self.plain)
        kinds = [node.op_type for node in model.graph.node]
        self.before = [node.name for node in model.graph.node[: kinds.index("Conv")]]
        """The normalisation of pixels, each image's own variance included: 8 bits after it would change the image."""
        self.expected = self._logits(self.plain)

    def noise(self, in_float: Sequence[str]) -> float:
        """Quantise all but these convolutions; returns the logits' relative error on the images held out."""
        self._quantize(in_float)
        return relative_error(self._logits(self.quantized), self.expected)

    def _logits(self, file: Path) -> Floats:
        session = Session(file, provider=CPU)
        return np.concatenate([session.run(batch)[0] for batch in _batches(self.held_out)])

    def _quantize(self, in_float: Sequence[str]) -> None:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type hints
            def __init__(self, batches: Iterator[Pixels]) -> None:
                self.batches = batches

            def get_next(self) -> dict[str, Pixels] | None:
                batch = next(self.batches, None)
                return None if batch is None else {"images": batch}

        with captured_output() as output:
            try:
                quantize_static(
                    self.plain,
                    self.quantized,
                    Reader(_batches(self.calibration)),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(OPERATORS),
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    reduce_range=True,  # 7 bits
                    nodes_to_exclude=[*self.before, *in_float],
                    calibration_cache_path=self.folder / "ranges.json",
                )
            except OSError:
                raise
            except Exception as error:  # the quantizer raises many kinds, none of them of use to a user
                reason = first_and_last(error, output)
                raise ExportError(f"ONNX Runtime's quantizer failed: {reason}; export fp32") from error


def _layers(model: onnx.ModelProto, operator: str) -> dict[str, str]:
    """The layers that an operator computes: name of the node -> name of the layer in the network."""
    nodes = [node for node in model.graph.node if node.op_type == operator]
    return {node.name: node.input[1].removeprefix("resnet.").removesuffix(".weight") for node in nodes}


def _batches(pixels_nhwc: Pixels) -> Iterator[Pixels]:
    return (pixels_nhwc[start : start + BATCH] for start in range(0, len(pixels_nhwc), BATCH))
