"""The precisions of a model file: one table of what prediction needs; exporter/precisions.py builds and judges them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Precision:
    """A precision in which an exported network computes."""

    file_name: str
    """Name of the exported file in a run's folder."""
    suits: str = ""
    """What it is for, in the help of --precision; "" where it runs well everywhere."""
    for_gpus: bool = False
    """Whether a file that no GPU can run is of no use."""
    calibrated: bool = False
    """Whether its export measures ranges of activations on training images (--calibration-images)."""


NARROW_BITS = 7
"""int8 weights of so few bits, at most 64, cannot overflow: the sum of two products with uint8 is below 2 ** 15."""

PRECISIONS: dict[str, Precision] = {
    "fp32": Precision(file_name="model.onnx"),
    "fp16": Precision(file_name="model.fp16.onnx", suits="for GPUs", for_gpus=True),
    "int8": Precision(
        file_name="model.int8.onnx",
        suits="for CPUs",
        calibrated=True,
    ),
}
"""By name, in the order in which a run's files are looked for."""
