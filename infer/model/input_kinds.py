"""What a model file takes: one table of the kinds of input; exporter/inputs.py makes a graph take each.

Light to import: the command line reads it at start-up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infer.model.precision import PRECISIONS

if TYPE_CHECKING:
    from infer.core.arrays import Pixels


def _as_bytes(pixels_nhwc: "Pixels") -> "Pixels":
    return pixels_nhwc


def _as_float_nchw(pixels_nhwc: "Pixels") -> Any:
    """uint8 [n, H, W, 3] -> float32 [n, 3, H, W], 0 to 255."""
    import numpy as np

    return np.ascontiguousarray(pixels_nhwc.transpose(0, 3, 1, 2), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class InputKind:
    """A kind of input."""

    name: str
    """The graph input's name."""
    values: str
    """What its numbers mean, for people."""
    suffix: str = ""
    """What distinguishes the file's name in a run's folder."""
    feed: Callable[["Pixels"], Any] | None = None
    """From uint8 images [n, H, W, 3], the card's windows, to what the graph takes; None where it takes no windows."""


UINT8 = "uint8"
FLOAT = "float"
IMAGE = "image"
INPUT_KINDS: dict[str, InputKind] = {
    UINT8: InputKind(name="images", values="RGB", feed=_as_bytes),
    FLOAT: InputKind(
        name="images",
        values="RGB planes, 0 to 255, which the graph normalises",
        suffix=".float",
        feed=_as_float_nchw,
    ),
    IMAGE: InputKind(
        name="image",
        values="one decoded RGB image of any size, upright, which the graph resizes and crops",
        suffix=".image",
    ),
}
"""By the name in the card."""


def file_name(precision: str, kind: str) -> str:
    """Name of an exported file in a run's folder: `model.onnx`, `model.fp16.float.onnx`."""
    return PRECISIONS[precision].file_name.replace(".onnx", f"{INPUT_KINDS[kind].suffix}.onnx")


def model_files() -> tuple[str, ...]:
    """Names of the files in a run's folder that predict, in the order in which they are looked for."""
    return tuple(
        file_name(precision, name) for name, kind in INPUT_KINDS.items() if kind.feed for precision in PRECISIONS
    )
