"""How a network is exported in each precision, and by which rule the gate judges the file.

The exporter's half of the table in `infer/model/precision.py`; a test holds that both have the same names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx

from exporter.parity import FLOAT32_ROUNDING, Rule
from exporter.quantize import MAX_NOISE, to_int8
from infer.core.arrays import Pixels
from infer.model.providers import Provider
from trainer.model.network import PixelNet


@dataclass(frozen=True, kw_only=True)
class PrecisionExport:
    """How a precision is built, checked and judged."""

    rule: Rule
    weights: int
    """ONNX's type of the convolutions' weights."""
    other_weights: bool = False
    """Whether some convolutions may have weights of another type."""
    convert_network: Callable[[PixelNet], object] | None = None
    """Changes a copy of the network, batch normalisation folded, before its graph is traced."""
    convert_graph: (
        Callable[[onnx.ModelProto, Pixels, Callable[[str], None]], tuple[onnx.ModelProto, dict[str, Any]]] | None
    ) = None
    """Converts the float32 graph, given training images and a function for messages; returns the graph and a record of
    how it was made, for the card."""
    largest: float | None = None
    """The largest number that it can hold, where a float32 network may compute larger ones."""
    advice: str = ""
    """What to try where the gate refuses a file."""


EXPORTS: dict[str, PrecisionExport] = {
    "fp32": PrecisionExport(rule=Rule(logits=FLOAT32_ROUNDING), weights=onnx.TensorProto.FLOAT),
    # Half precision rounds every value to 11 bits, 5e-4 of it. With rounded weights alone, as on a CPU, that came to
    # 3e-4 of the magnitude or less over the layers of ResNet-18, 50 and 152; the limit is ten times that and some, as
    # a GPU rounds activations too. It guards against faults that move no label, such as a wrong scale; labels and
    # accuracy have limits of their own. A label may flip where two classes are as close as the rounding, which is
    # rare; more flips than that are a fault.
    "fp16": PrecisionExport(
        rule=Rule(logits=4e-3, labels=0.01, accuracy=0.005),
        weights=onnx.TensorProto.FLOAT16,
        convert_network=lambda network: network.backbone.half(),
        largest=65_504.0,
        advice="export fp32",
    ),
    # int8 rounds every value to 8 bits, about 2e-3 of its range: single logits differ by more than a rule could allow
    # without allowing anything. So labels and accuracy are judged, and of the logits only their overall error and
    # scale. More labels that differ are a fault, or a network that int8 does not suit.
    "int8": PrecisionExport(
        rule=Rule(labels=0.02, accuracy=0.01, noise=MAX_NOISE, scale=0.1),
        weights=onnx.TensorProto.INT8,
        other_weights=True,
        convert_graph=to_int8,
        advice="try more --calibration-images, or export fp32",
    ),
}


BF16 = "bf16"
BF16_RULE = Rule(logits=3.2e-2, labels=0.01, accuracy=0.005)
"""For a runtime that computes a float32 file in bfloat16: fp16's limits of labels and accuracy, and eight times its
limit of a logit, as bfloat16 rounds to 8 bits where half precision rounds to 11."""


def gate_rule(precision: str, provider: Provider) -> Rule:
    """The limits for a file of this precision where a provider runs it: its own arithmetic may be coarser."""
    return BF16_RULE if provider.computes.get(precision) == BF16 else EXPORTS[precision].rule
