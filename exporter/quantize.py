"""A float32 graph to int8 for CPUs: convolutions in 8 bits, weights per channel, the last layer in float.

Quantize and dequantize operators stand around what is computed in 8 bits (QDQ), so the file stays plain ONNX. Ranges
of activations are measured on training images, which come by the production pixel path. uint8 activations with int8
weights are what VNNI multiplies.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from exporter.graph import captured
from exporter.parity import INT8_NOISE, relative_error
from infer.core.arrays import Floats, Pixels
from infer.core.errors import DataError, ExportError, ImageError
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import PixelSpec, read_window
from infer.model.session import Session

FEWEST = 16
"""With fewer images than this the measured ranges mean nothing."""
HELD_OUT = 5
"""Every fifth image is not calibrated on; the quantised graph is judged on these."""
BATCH = 16
KINDS = ("Conv", "Relu", "Add", "MaxPool")
"""What is computed in 8 bits. The mean over each feature map, the last layer and softmax are not: they cost no time,
and 8 bits after them would be the resolution of the answer."""
SENSITIVE = INT8_NOISE / 2
"""Above this relative error of the logits, layers are tried alone and the worst go back to float."""
MOST_FLOAT = 0.25
"""At most this share of the convolutions goes back to float; a network that needs more is not for int8."""


@dataclass(frozen=True)
class Quantized:
    """An int8 graph and how it came about."""

    model: onnx.ModelProto
    float_layers: tuple[str, ...]
    """Layers that were left in float, by their names in the network."""
    noise: float
    """The logits' relative error on the images held out."""
    calibrated_on: int
    """Images."""


def read_calibration(files: Sequence[str], spec: PixelSpec) -> Pixels:
    """The evaluation views of training images, uint8 [n, H, W, 3]; those that cannot be read are passed over.

    Raises:
        DataError: fewer than FEWEST can be read.
    """
    views = read_ahead(files, lambda file: read_window(file, spec))
    good = [view for view in views if not isinstance(view, ImageError)]
    if len(good) < FEWEST:
        raise DataError(
            f"int8 is calibrated on training images and needs {FEWEST}; {len(good)} of {len(files)} can be read; "
            "give more with --calibration-images, or say with --data where they lie"
        )
    return np.stack(good)


def quantize(model: onnx.ModelProto, pixels_nhwc: Pixels, say: Callable[[str], None] = lambda text: None) -> Quantized:
    """Quantise a float32 graph at its own opset.

    Args:
        model: what `build_graph` made, with any batch size.
        pixels_nhwc: evaluation views of training images, uint8 [n, H, W, 3].
        say: is told where layers are left in float, which takes its time.

    Raises:
        ExportError: ONNX Runtime's quantizer failed.
    """
    held = np.arange(len(pixels_nhwc)) % HELD_OUT == HELD_OUT - 1
    names = _layers(model, "Conv")
    with tempfile.TemporaryDirectory() as folder:
        work = _Work(Path(folder), model, pixels_nhwc[~held], pixels_nhwc[held])
        noise, ranked = work.noise([]), list[str]()
        if noise > SENSITIVE:
            say(f"int8 is off by {noise:.0%} on average: trying each of {len(names)} layers alone")
            ranked = sorted(names, key=lambda node: work.noise([other for other in names if other != node]))[::-1]
        kept = 0
        while noise > SENSITIVE and kept < len(names) * MOST_FLOAT:
            kept += 1
            noise = work.noise(ranked[:kept])
        layers = (*(names[node] for node in ranked[:kept]), *_layers(model, "Gemm").values())
        return Quantized(onnx.load(work.quantized), layers, noise, int((~held).sum()))


class _Work:
    """A folder with the float graph and the ranges of its tensors, which are measured once."""

    def __init__(self, folder: Path, model: onnx.ModelProto, calibration: Pixels, held_out: Pixels) -> None:
        self.folder, self.calibration, self.held_out = folder, calibration, held_out
        self.plain, self.quantized = folder / "float.onnx", folder / "int8.onnx"
        onnx.save(model, self.plain)
        kinds = [node.op_type for node in model.graph.node]
        self.before = [node.name for node in model.graph.node[: kinds.index("Conv")]]
        """What makes pixels of bytes, each image's own variance too: 8 bits after it would change the image."""
        self.expected = self._logits(self.plain)

    def noise(self, in_float: Sequence[str]) -> float:
        """Quantise all but these convolutions; the logits' relative error on the images held out."""
        self._quantize(in_float)
        return relative_error(self._logits(self.quantized), self.expected)

    def _logits(self, file: Path) -> Floats:
        session = Session(file, "cpu")
        return np.concatenate([session.run(part)[0] for part in _batches(self.held_out)])

    def _quantize(self, in_float: Sequence[str]) -> None:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type hints
            def __init__(self, parts: Iterator[Pixels]) -> None:
                self.parts = parts

            def get_next(self) -> dict[str, Pixels] | None:
                part = next(self.parts, None)
                return None if part is None else {"images": part}

        with captured() as said:
            try:
                quantize_static(
                    self.plain,
                    self.quantized,
                    Reader(_batches(self.calibration)),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(KINDS),
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=[*self.before, *in_float],
                    calibration_cache_path=self.folder / "ranges.json",
                )
            except OSError:
                raise
            except Exception as error:  # the quantizer raises many kinds, none of them of use to a user
                last = (said.getvalue().strip().splitlines() or [""])[-1]
                what = str(error).strip().partition("\n")[0]
                raise ExportError(f"ONNX Runtime's quantizer failed: {what} {last}; export fp32") from error


def _layers(model: onnx.ModelProto, operator: str) -> dict[str, str]:
    """The layers that an operator computes: name of the node -> name of the layer in the network."""
    found = [node for node in model.graph.node if node.op_type == operator]
    return {node.name: node.input[1].removeprefix("resnet.").removesuffix(".weight") for node in found}


def _batches(pixels_nhwc: Pixels) -> Iterator[Pixels]:
    return (pixels_nhwc[at : at + BATCH] for at in range(0, len(pixels_nhwc), BATCH))
