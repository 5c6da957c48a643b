"""Every knob of export, with its default. Light to import: the CLI reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infer.config import Device, require_file_name
from infer.errors import ConfigError
from infer.knob import check, knob

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `lab export` is asked for."""

    run: Path | None = None
    """A run's folder or its best.safetensors; None: the newest run with a finished epoch."""
    opset: int = knob(17, "From 17 to the newest that is installed.")
    precision: Precision = knob("fp32", "fp16 is for GPUs.")
    data: Path | None = knob(None, "Where the run's images lie now.", told="as in training")
    device: Device = knob("auto", "Where the gate runs it: auto is the CPU, and CUDA too where it is there.")
    batch_size: int = knob(64, "The gate's full batch.", above=0, short="-b")
    out: Path | None = knob(None, "File to write, ending in .onnx.", told="model.onnx in the run")

    def __post_init__(self) -> None:
        check(self, ExportConfig)
        if self.out:
            require_file_name("--out", self.out)
            if self.out.suffix != ".onnx":
                raise ConfigError(f"--out must end in .onnx, got {self.out}")
