"""What ships to the machine that predicts: the contract, the pipeline and the reports. No torch in here.

For programs: `from infer import load; load("model.onnx").predict("cells/")`.
"""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infer.config import Decode, Device, Tta
    from infer.predictor import Predictor


def load(
    *models: str | PathLike[str], device: "Device" = "auto", tta: "Tta" = "none", decode: "Decode" = "cpu"
) -> "Predictor":
    """Open an exported ONNX file, or a run's, for prediction; several are averaged. See `infer.predictor.Predictor`.

    Raises:
        ModelError: there is no such model, or it cannot be used.
        DeviceError: CUDA was asked for and cannot be had; the message says what is missing.
        ConfigError: the models' classes differ, or their pixels do not allow the views of `tta`, or `decode`.
        MissingExtraError: nvImageCodec is not installed, and decode is "gpu".
    """
    from pathlib import Path

    from infer.predictor import Predictor

    return Predictor([Path(model) for model in models], device, tta, decode)
