"""The precisions of a model file: one table of what prediction needs; exporter/precisions.py builds and judges them."""

from collections.abc import Callable
from dataclasses import dataclass

from infer.core.cpu import int8_problem


@dataclass(frozen=True, kw_only=True)
class Precision:
    """A precision in which an exported network computes."""

    file_name: str
    """Name of the exported file in a run's folder."""
    suits: str = ""
    """What it is for, in the help of --precision; "" where it runs well everywhere."""
    for_gpus: bool = False
    """Whether a file that no GPU can run is of no use."""
    find_problem: Callable[[], str | None] = lambda: None
    """Returns what it lacks on this machine's CPU; None where nothing is known."""
    calibrated: bool = False
    """Whether its export measures ranges of activations on training images (--calibration-images)."""


PRECISIONS: dict[str, Precision] = {
    "fp32": Precision(file_name="model.onnx"),
    "fp16": Precision(file_name="model.fp16.onnx", suits="for GPUs", for_gpus=True),
    "int8": Precision(
        file_name="model.int8.onnx",
        suits="for CPUs with VNNI or AMX",
        find_problem=int8_problem,
        calibrated=True,
    ),
}
"""By name, in the order in which a run's files are looked for."""
