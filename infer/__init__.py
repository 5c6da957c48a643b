"""Prediction and reports, with all that they need: the package runs without torch.

From a program: `from lab import load; load("model.onnx").predict("cells/")`.
"""

import os
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infer.config import Decode, Device, Runtime, Tta
    from infer.predictor import Predictor

# before anything loads ONNX Runtime, whose packages report machine, models and runs to Microsoft (since 1.29 on Linux)
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def load(
    *models: str | PathLike[str],
    device: "Device" = "auto",
    tta: "Tta" = "none",
    decode: "Decode" = "cpu",
    runtime: "Runtime" = "auto",
    accept_changed: bool = False,
) -> "Predictor":
    """Open models for prediction; the probabilities of several are averaged. See `infer.predictor.Predictor`.

    Args:
        models: ONNX files, or runs that have one.
        device: "cuda" fails where CUDA is not available; "auto" then takes the CPU.
        tta: test-time augmentation: the views of each image whose probabilities are averaged.
        decode: "gpu" decodes plain JPEGs on the GPU.
        runtime: "onnxruntime", "openvino" or "openvino-bf16"; "auto" takes the fastest that a file passed its gate on.
        accept_changed: open model files that were changed since their export, too.

    Raises:
        ModelError: a model does not exist, was changed since its export, or cannot be used.
        DeviceError: `device` is "cuda", or `decode` is "gpu", and CUDA is not available; or `runtime` cannot be used.
        ConfigError: `device` and `runtime` exclude each other, the models' classes differ, or their pixel specs do not
            allow `tta` or `decode`.
        MissingExtraError: `decode` is "gpu", and nvImageCodec is not installed.
    """
    from pathlib import Path

    from infer.predictor import Predictor

    return Predictor([Path(model) for model in models], device, tta, decode, runtime, accept_changed)
