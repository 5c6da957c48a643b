"""Every knob of export, with its default. Light to import: the CLI reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infer.config import FULL_BATCH, GATE_DEVICE, GATE_IMAGES, MOST_BATCH, Device
from infer.core.errors import ConfigError
from infer.core.knob import check, knob, option, require
from infer.core.output_paths import require_file_name
from trainer.config import ARCHITECTURE_NAMES, Fit

Precision = Literal["fp32", "fp16", "int8"]
ELSEWHERE = "A network trained elsewhere"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `lab export` is asked for."""

    run: Path | None = None
    """A run's folder or its best.safetensors, or with `arch` a file of weights; None: the newest finished run."""
    opset: int = knob(17, "From 17 to the newest that is installed.")
    precision: Precision = knob("fp32", "fp16 is for GPUs, int8 for CPUs with VNNI or AMX.")
    batch: int | None = knob(
        None, "A file that takes batches of this size alone.", above=0, maximum=MOST_BATCH, default_text="any size"
    )
    calibrate: bool = knob(False, "Fit a temperature to the validation images, so that probabilities can be believed.")
    cam: bool = knob(False, "A third output, `cam`: the class activation map, for heat maps.")
    calibration_images: int = knob(512, "Training images that int8 measures ranges on.", above=0)
    data: Path | None = knob(None, "Where the images lie.", default_text="as in training")
    device: Device = knob("auto", GATE_DEVICE)
    batch_size: int = knob(64, FULL_BATCH, above=0, maximum=MOST_BATCH, short="-b")
    gate_images: int | None = knob(None, GATE_IMAGES, above=0, default_text="all")
    out: Path | None = knob(None, "File to write, ending in .onnx.", default_text="model.onnx in the run")
    arch: str = knob("", f"Of the weights: {', '.join(ARCHITECTURE_NAMES)}.", panel=ELSEWHERE, default_text="none")
    classes: str = knob("", "In the order of the outputs: normal,blast or 0=normal,1=blast.", panel=ELSEWHERE)
    image_size: int | None = knob(None, "Side of what the network sees.", panel=ELSEWHERE, minimum=32, maximum=2048)
    fit: Fit = knob("shorter", "How an image becomes that square, as in lab train.", panel=ELSEWHERE)
    mean: tuple[float, ...] = knob(
        (0.485, 0.456, 0.406), "Of the normalisation, of 0 to 1.", panel=ELSEWHERE, minimum=0, maximum=1
    )
    std: tuple[float, ...] = knob(
        (0.229, 0.224, 0.225), "Of the normalisation, of 0 to 1.", panel=ELSEWHERE, above=0, maximum=1
    )
    ordered: bool = knob(False, "The classes are grades.", panel=ELSEWHERE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arch", self.arch.lower().replace("-", "").replace("_", ""))
        check(self, ExportConfig)
        if self.out:
            require_file_name("--out", self.out)
            if self.out.suffix != ".onnx":
                raise ConfigError(f"--out must end in .onnx, got {self.out}")
        for name, values in (("--mean", self.mean), ("--std", self.std)):
            if len(values) != 3:
                raise ConfigError(f"{name} must be 3 numbers, for red, green and blue, got {len(values)}")
        if self.arch:
            require(self.arch in ARCHITECTURE_NAMES, "--arch", f"one of {', '.join(ARCHITECTURE_NAMES)}", self.arch)
        if self.arch or (self.run and self.run.suffix in (".pth", ".pt")):
            self._check_elsewhere()
        elif given := self._given("classes", "image_size", "fit", "mean", "std", "ordered"):
            raise ConfigError(f"{given[0]} is for weights that were trained elsewhere, and needs --arch; leave it out")
        if self.calibrate and self.gate_images is not None:
            raise ConfigError("--calibrate fits to all validation images, which --gate-images would leave out")
        if self.precision != "int8" and self._given("calibration_images"):
            raise ConfigError("--calibration-images has no effect here: it needs --precision int8")

    def _check_elsewhere(self) -> None:
        missing = [option(name) for name in ("arch", "classes", "image_size", "data") if not getattr(self, name)]
        missing = [*missing, *(["the file of weights"] if not self.run else [])]
        if missing:
            raise ConfigError(
                f"weights that were trained elsewhere need {', '.join(missing)} too; for example: lab export "
                "resnet50.pth --arch resnet50 --classes 0=normal,1=blast --image-size 224 --data cells/"
            )

    def _given(self, *names: str) -> list[str]:
        """The options among these whose value is not the default."""
        return [option(name) for name in names if getattr(self, name) != getattr(ExportConfig, name)]
