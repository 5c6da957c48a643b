"""The config of export. Light to import: the command line reads it at start-up."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infer.config import (
    GATE_BATCH_HELP,
    GATE_DEVICE_HELP,
    GATE_IMAGES_HELP,
    GATE_RUNTIME_HELP,
    LARGEST_BATCH,
    Device,
    Runtime,
)
from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob, knobs, option, require
from infer.core.output_paths import require_file_name, require_folder_name, require_local
from infer.core.text import joined
from infer.model.input_kinds import IMAGE, UINT8
from infer.model.precision import PRECISIONS
from infer.model.providers import check_runtime
from trainer.choices import Fit
from trainer.model.architectures import ARCHITECTURES, architecture_name

if TYPE_CHECKING:
    Precision = str
else:
    Precision = Literal[tuple(PRECISIONS)]
Input = Literal["uint8", "float"]
_PRECISIONS_TEXT = joined([f"{name} ({row.suits})" if row.suits else name for name, row in PRECISIONS.items()], "or")
FILE, GATE, DEPLOYMENT, ELSEWHERE = "Exported file", "Parity gate", "Deployment", "Network trained elsewhere"
"""Panels of the options in help, beside the first one."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What `lab export` does."""

    run: Path | None = argument(
        "RUN",
        "Run to export; with --arch, a file of weights; for --triton and --web, also an exported file.",
        default=None,
        default_text="the newest in runs/",
    )
    """A run's folder or its best.safetensors, with `arch` a file of weights, with `triton` or `web` also an exported
    file;
    None: the newest finished run."""
    opset: int = knob(17, "ONNX opset, from 17 to the newest that is installed.")
    precision: Precision = knob("fp32", f"Precision: {_PRECISIONS_TEXT}.")
    input: Input = knob(
        UINT8,
        "What the file takes: uint8 [batch, H, W, 3], or float [batch, 3, H, W] of 0 to 255, for programs "
        "without uint8.",
        panel=FILE,
    )
    embed_resize: bool = knob(
        False, "Put resize and crop into the graph, which then takes one decoded image of any size.", panel=FILE
    )
    batch: int | None = knob(
        None,
        "Fixed batch size of the exported model, in images.",
        panel=FILE,
        above=0,
        maximum=LARGEST_BATCH,
        default_text="any size",
    )
    calibrate: bool = knob(False, "Fit a temperature to the validation images.", panel=FILE)
    cam: bool = knob(False, "Add an output `cam`: the class activation map, for heat maps.", panel=FILE)
    calibration_images: int = knob(512, "Training images on which int8 measures ranges.", panel=FILE, above=0)
    data: Path | None = knob(
        None, "Folder of the images now; with --arch, data set or card.", default_text="as in training"
    )
    device: Device = knob("auto", GATE_DEVICE_HELP, panel=GATE)
    runtime: Runtime = knob("auto", GATE_RUNTIME_HELP, panel=GATE)
    batch_size: int = knob(64, GATE_BATCH_HELP, panel=GATE, above=0, maximum=LARGEST_BATCH, short="-b")
    gate_images: int | None = knob(None, GATE_IMAGES_HELP, panel=GATE, above=0, default_text="all")
    out: Path | None = knob(None, "File to write, ending in .onnx.", default_text="model.onnx in the run")
    triton: Path | None = knob(
        None,
        "Also write a folder of the file into this model repository of Triton Inference Server.",
        panel=DEPLOYMENT,
        default_text="none",
    )
    web: Path | None = knob(
        None,
        "Also write a folder with a page that predicts in the browser, without a server.",
        panel=DEPLOYMENT,
        default_text="none",
    )
    arch: str = knob("", f"Architecture: {', '.join(ARCHITECTURES)}.", panel=ELSEWHERE, default_text="none")
    classes: str = knob(
        "", "Classes in the order of the outputs, such as normal,blast or 0=normal,1=blast.", panel=ELSEWHERE
    )
    image_size: int | None = knob(None, "Input side in pixels.", panel=ELSEWHERE, minimum=32, maximum=2048)
    fit: Fit = knob(
        "shorter", "How images become square: shorter, longer or stretch, as in lab train.", panel=ELSEWHERE
    )
    mean: tuple[float, ...] = knob(
        (0.485, 0.456, 0.406),
        "Mean of each channel (0 to 1), separated by commas.",
        panel=ELSEWHERE,
        minimum=0,
        maximum=1,
    )
    std: tuple[float, ...] = knob(
        (0.229, 0.224, 0.225),
        "Standard deviation of each channel, likewise.",
        panel=ELSEWHERE,
        above=0,
        maximum=1,
    )
    ordered: bool = knob(False, "Treat the classes as grades.", panel=ELSEWHERE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arch", architecture_name(self.arch))
        check(self, ExportConfig)
        check_runtime(self.device, self.runtime)
        if self.out:
            require_file_name("--out", self.out)
            require_local("--out", self.out)
            if self.out.suffix != ".onnx":
                raise ConfigError(f"--out must end in .onnx, got {self.out}")
        for name, values in (("--mean", self.mean), ("--std", self.std)):
            if len(values) != 3:
                raise ConfigError(f"{name} must be 3 numbers, for red, green and blue, got {len(values)}")
        if self.arch:
            require(self.arch in ARCHITECTURES, "--arch", f"one of {', '.join(ARCHITECTURES)}", self.arch)
        for name, folder in (("--triton", self.triton), ("--web", self.web)):
            if folder:
                require_folder_name(name, folder)
        if self.finished_file:
            self._check_finished()
        elif self.arch or (self.run and self.run.suffix in (".pth", ".pt")):
            self._check_elsewhere()
        elif changed := self._changed("classes", "image_size", "fit", "mean", "std", "ordered"):
            raise ConfigError(
                f"{changed[0]} is for weights that were trained elsewhere, and needs --arch; leave it out"
            )
        if self.embed_resize:
            self._check_embed_resize()
        if self.calibrate and self.gate_images is not None:
            raise ConfigError("--calibrate fits to all validation images, which --gate-images would leave out")
        if not PRECISIONS[self.precision].calibrated and self._changed("calibration_images"):
            calibrated = joined([name for name, row in PRECISIONS.items() if row.calibrated], "or")
            raise ConfigError(f"--calibration-images has no effect here: it needs --precision {calibrated}")

    @property
    def finished_file(self) -> Path | None:
        """The exported file from which folders are made, where RUN is one; then nothing is exported."""
        return self.run if self.run and self.run.suffix == ".onnx" else None

    def _check_finished(self) -> None:
        if not (self.triton or self.web):
            raise ConfigError(
                f"{self.run} is an exported file already; give --triton FOLDER or --web FOLDER, or name a run to export"
            )
        used = ("run", "triton", "web", *(["device"] if self.triton else []))
        others = [name for name in knobs(ExportConfig) if name not in used]
        if changed := self._changed(*others):
            raise ConfigError(f"{changed[0]} is for an export, and {self.run} is an exported file; leave it out")

    @property
    def input_kind(self) -> str:
        """What the file takes, a key of INPUT_KINDS."""
        return IMAGE if self.embed_resize else self.input

    def _check_embed_resize(self) -> None:
        reasons = {
            "input": "its input is one image of bytes",
            "batch": "its input is one image",
            "cam": "lab draws heat maps from files that take batches",
            "triton": "its configuration describes batches",
            "web": "the page resizes images itself",
        }
        if changed := [name for name in reasons if self._changed(name)]:
            raise ConfigError(f"{option(changed[0])} cannot be combined with --embed-resize: {reasons[changed[0]]}")
        if self.runtime not in ("auto", "onnxruntime"):
            raise ConfigError(
                f"--embed-resize with --runtime {self.runtime}: only ONNX Runtime is tried for such files; leave it out"
            )
        if self.device not in ("auto", "cpu"):
            raise ConfigError(
                f"--embed-resize with --device {self.device}: the graph computes with sizes, which GPUs leave to the "
                "CPU; choose --device cpu"
            )

    def _check_elsewhere(self) -> None:
        missing = [option(name) for name in ("arch", "classes", "image_size", "data") if not getattr(self, name)]
        missing = [*missing, *(["the file of weights"] if not self.run else [])]
        if missing:
            raise ConfigError(
                f"weights that were trained elsewhere need {', '.join(missing)} too; for example: lab export "
                "resnet50.pth --arch resnet50 --classes 0=normal,1=blast --image-size 224 --data cells/"
            )

    def _changed(self, *names: str) -> list[str]:
        """The options of these fields whose value is not the default."""
        return [option(name) for name in names if getattr(self, name) != getattr(ExportConfig, name)]
