"""Every knob of export, with its default. Light to import: the CLI reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infer.config import Device, require_batch, require_file_name
from infer.errors import ConfigError

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `lab export` is asked for."""

    run: Path | None = None
    """A run's folder or its best.safetensors; None: the newest run with a finished epoch."""
    opset: int = 17
    """The ONNX opset of the file."""
    precision: Precision = "fp32"
    """fp32, or fp16 for GPUs: weights and arithmetic of the ResNet in half precision."""
    data: Path | None = None
    """Where the run's images lie now, if no longer where they were."""
    device: Device = "auto"
    """Where the gate runs the file: auto is the CPU, and CUDA too where it is there; cuda requires it."""
    batch_size: int = 64
    """The gate's full batch, above 0."""
    out: Path | None = None
    """The file to write, ending in .onnx; None: model.onnx or model.fp16.onnx in the run's folder."""

    def __post_init__(self) -> None:
        require_batch(self.batch_size)
        if self.out:
            require_file_name("--out", self.out)
            if self.out.suffix != ".onnx":
                raise ConfigError(f"--out must end in .onnx, got {self.out}")
