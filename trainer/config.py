"""The config of training. Standard library only: the command line reads it at start-up.

The defaults here are plain: no augmentation, no schedule. `lab train` by default uses the recipe recipes/lab.toml.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from infer.config import DATA_HELP, EXCLUDE_HELP, LabelOptions
from infer.core.errors import ConfigError
from infer.core.knob import check, from_toml, knob, knobs, require, tables, to_toml
from infer.images.window_option import FILE, parse_window
from trainer.choices import (
    BY_DEVICE,
    LEARNING_RATE,
    METRICS,
    Bits,
    ClassWeights,
    Compile,
    Device,
    Fit,
    NormalizationKind,
    Optimizer,
    Precision,
    RateScaling,
    Sampling,
    Schedule,
    StageStart,
)
from trainer.model.architectures import ARCHITECTURES, architecture_name

if TYPE_CHECKING:
    from trainer.augment.steps import Step

DATA, NETWORK, PIXELS, AUGMENTATION, RUN = "Data", "Network", "Pixels", "Enhancement and augmentation", "Run"
OPTIMISATION, SCHEDULE, REGULARISATION = "Optimisation", "Learning rate", "Regularisation and class balance"
"""Panels of the options in help, beside the first one, which has the common options."""


def run_knob(default: Any, help: str, **more: Any) -> Any:  # noqa: A002  # as in knob
    """A knob whose value is the same in all stages of a run."""
    return knob(default, help, whole_run=True, **more)


def _by_device(name: str) -> str:
    return f"{BY_DEVICE['cuda'][name]} on CUDA, {BY_DEVICE['cpu'][name]} on a CPU"


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LabelOptions):
    """One training run. None means: what suits the device or the optimizer; `resolved` fills it in."""

    architecture: str
    """A name in ARCHITECTURES; capitals and hyphens are accepted."""
    recipe: str = ""
    """Name of the recipe, for information; its values are in the other fields."""
    stages: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """The values that differ in each stage of the run, by field; empty: one stage with the values below."""

    data: str = run_knob("", DATA_HELP, metavar="<path>", default_text="built-in synthetic cells")
    fold: int | None = run_knob(None, "Validation fold of C-NMC.", panel=DATA, minimum=0, default_text="2")
    exclude: str = run_knob("", EXCLUDE_HELP, panel=DATA, metavar="<path>", default_text="none")
    seed: int = run_knob(0, "Seed of the weights, order, augmentation and split.", minimum=0, maximum=2**32 - 1)
    out: str = run_knob("runs", "Folder in which the run's folder is created.", metavar="<path>")
    monitor: str = run_knob(
        "accuracy", "Metric that selects the best epoch: accuracy, balanced-accuracy, f1 or recall:CLASS."
    )
    ordered: bool = run_knob(False, "Treat the classes as grades.", panel=DATA)
    pretrained: bool = run_knob(False, "Start from ImageNet weights.", panel=NETWORK)
    weights: str = run_knob(
        "", "Start from the weights in a .pth or .safetensors file.", panel=NETWORK, metavar="<path>"
    )

    image_size: int | None = knob(
        None, "Input side in pixels.", minimum=32, maximum=2048, default_text=_by_device("image_size")
    )
    fit: Fit = knob("shorter", "Make square: shorter (centre crop), longer (black bars) or stretch.", panel=PIXELS)
    crop: int | None = knob(
        None,
        "Centre crop in pixels before resizing; replaces --fit.",
        panel=PIXELS,
        minimum=8,
        maximum=8192,
        default_text="none",
    )
    enhance: tuple[str, ...] = knob(
        (),
        "Filters before all else: clahe(clip, tiles), unsharp(sigma, strength), white_balance, mean_filter(size).",
        panel=AUGMENTATION,
    )
    augment: tuple[str, ...] = knob(
        (),
        "Random steps on the device, such as 'rotation(20), hflip, jitter(0.2) @ 0.5'; see docs/augmentation.md.",
        panel=AUGMENTATION,
    )
    bits: Bits = run_knob("16", "Bits used in files of more than 8: 8, 10, 12, 14, 16 or auto.", panel=PIXELS)
    dicom_window: str = run_knob(
        FILE, "Window of DICOM files: file, full or CENTRE/WIDTH.", panel=PIXELS, metavar="<window>"
    )
    normalization: NormalizationKind = knob(
        "imagenet", "Normalise by imagenet, data (of training), none, whiten or image.", panel=PIXELS
    )
    grayscale: bool = knob(False, "Convert images to grey levels.", panel=PIXELS)

    epochs: int | None = knob(None, "Training epochs.", above=0, short="-e", default_text=_by_device("epochs"))
    batch_size: int | None = knob(
        None, "Batch size, over all GPUs together.", minimum=2, short="-b", default_text=_by_device("batch_size")
    )
    accumulate: int = knob(1, "Gradient accumulation steps per batch.", panel=OPTIMISATION, above=0)
    optimizer: Optimizer = knob("sgd", "Optimiser: sgd, adamw, adam, nadam, radam, rmsprop or adagrad.", short="-o")
    learning_rate: float | None = knob(
        None,
        "Peak learning rate.",
        above=0,
        short="-r",
        default_text=f"{LEARNING_RATE['sgd']:g} with sgd, {LEARNING_RATE['adamw']:g} with adamw",
    )
    rate_scaling: RateScaling = knob(
        "none", "Scaling of the learning rate with --batch-size: none, linear or sqrt.", panel=SCHEDULE
    )
    base_batch_size: int | None = knob(
        None,
        "Batch size that the learning rate is meant for.",
        panel=SCHEDULE,
        above=0,
        default_text="the recipe's",
    )
    momentum: float = knob(0.9, "Momentum of sgd and rmsprop.", panel=OPTIMISATION, minimum=0, below=1)
    nesterov: bool = knob(False, "Nesterov momentum with sgd.", panel=OPTIMISATION)
    weight_decay: float = knob(5e-4, "Weight decay of convolutions and head.", panel=OPTIMISATION, minimum=0)
    decay_all: bool = knob(False, "Decay biases and normalisation layers too.", panel=OPTIMISATION)
    schedule: Schedule = knob("constant", "Schedule: constant, cosine, one-cycle, step or plateau.", panel=SCHEDULE)
    warmup: float = knob(0.0, "Warm-up epochs, from learning rate 0; one-cycle has its own.", panel=SCHEDULE, minimum=0)
    milestones: tuple[float, ...] = knob(
        (0.6, 0.85), "Drops of step, as shares of the epochs, separated by commas.", panel=SCHEDULE, above=0, below=1
    )
    drop: float = knob(0.1, "Factor of each drop of step and plateau.", panel=SCHEDULE, above=0, below=1)
    plateau: int = knob(5, "Epochs without improvement before plateau drops.", panel=SCHEDULE, above=0)
    clip_norm: float | None = knob(
        None, "Maximum norm of the gradient.", panel=OPTIMISATION, above=0, default_text="none"
    )
    ema: float = knob(
        0.0, "EMA decay per step; the EMA weights are validated and saved.", panel=REGULARISATION, minimum=0, below=1
    )
    freeze: int = run_knob(0, "Initial epochs in which only the head is trained.", panel=NETWORK, minimum=0)
    patience: int | None = run_knob(
        None, "Epochs without improvement before training stops.", panel=RUN, above=0, default_text="never"
    )
    stage_start: StageStart = knob(
        "last", "Epoch of the stage before, last or best, whose weights the stage starts from.", panel=RUN, option=False
    )

    label_smoothing: float = knob(
        0.0, "Label smoothing: share of the target spread over all classes.", panel=REGULARISATION, minimum=0, below=1
    )
    class_weights: ClassWeights = knob(
        "none",
        "Class weights: none, inverse (n/(K n_class)), share (1 - n_class/n) or effective (number).",
        panel=REGULARISATION,
    )
    sampling: Sampling = knob(
        "shuffle", "Sampling: shuffle, or balanced (every class equally often).", panel=REGULARISATION
    )

    device: Device = run_knob(
        "auto", "Device: auto, cuda or cpu. Auto reports its choice; cuda never falls back to the CPU."
    )
    workers: int | None = run_knob(None, "Processes that decode images.", panel=RUN, above=0, default_text="all cores")
    compile: Compile = knob("auto", "Use torch.compile: on, off, or auto (on CUDA, if it pays off).", panel=RUN)
    precision: Precision = run_knob(
        "auto", "Precision of training: fp32, bf16, or auto (bf16 on GPUs and CPUs that gain from it).", panel=RUN
    )
    sync_bn: bool = run_knob(False, "Batch normalisation over all GPUs.", panel=RUN)
    tensorboard: bool = run_knob(False, "Log to TensorBoard; needs that extra.", panel=RUN)

    def __post_init__(self) -> None:
        object.__setattr__(self, "architecture", architecture_name(str(self.architecture)))
        require(self.architecture in ARCHITECTURES, "ARCH", f"one of {', '.join(ARCHITECTURES)}", self.architecture)
        check(self, TrainConfig)
        if self.augment:
            self.augment_steps  # noqa: B018  # parses them, and so checks them
        require(not (self.pretrained and self.weights), "--weights", "given without --pretrained", self.weights)
        try:
            parse_window(self.dicom_window)
        except ValueError as error:
            raise ConfigError(f"--dicom-window: {error}") from None
        known = self.monitor in METRICS or self.monitor.startswith("recall:")
        require(known, "--monitor", "accuracy, balanced-accuracy, f1 or recall:CLASS", self.monitor)
        if self.batch_size is not None:
            step, rest = divmod(self.batch_size, self.accumulate)
            require(rest == 0, "--accumulate", "a divisor of --batch-size", self.accumulate)
            require(step >= 2, "--accumulate", "such that every step has 2 images or more", self.accumulate)
        require(len(set(self.milestones)) == len(self.milestones) > 0, "--milestones", "different", self.milestones)
        for number, stage in enumerate(self.stages, 1):
            self._check_stage(number, stage)

    @cached_property
    def augment_steps(self) -> tuple["Step", ...]:
        """The steps of `augment`, parsed once."""
        from trainer.augment.parse import parse_steps  # its 15 ms are what `lab --help` can do without

        return parse_steps(self.augment)

    def _check_stage(self, number: int, stage: Mapping[str, Any]) -> None:
        settings = knobs(TrainConfig)
        for name in stage:
            if name not in settings:
                raise ConfigError(f"stage {number}: lab does not know {name}; see lab train --help")
            if settings[name].knob.whole_run:
                raise ConfigError(f"stage {number}: {name} is the same in all stages of a run; give it above them")
        try:
            replace(self, **{**stage, "stages": ()})
        except ConfigError as error:
            raise ConfigError(f"stage {number}: {error}") from None

    def resolved(self, device: str) -> tuple["ResolvedConfig", ...]:
        """Each stage with its open values filled in for `device`, "cuda" or "cpu"."""
        return tuple(self._stage(stage, device) for stage in self.stages or ({},))

    def _stage(self, stage: Mapping[str, Any], device: str) -> "ResolvedConfig":
        values = {item.name: getattr(self, item.name) for item in fields(TrainConfig)} | {**stage, "stages": ()}
        by_device, rate = BY_DEVICE[device], LEARNING_RATE[values["optimizer"]]
        defaults = {**by_device, "learning_rate": rate, "base_batch_size": by_device["batch_size"]}
        filled = {name: defaults[name] if values[name] is None else values[name] for name in defaults}
        return ResolvedConfig(**{**values, **filled, "device": device})

    def to_toml(self) -> str:
        """The config as TOML, one line per field; open values are left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "stages"}
        return to_toml(values) + "".join(f"\n[[stages]]\n{to_toml(stage)}" for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(TrainConfig):
    """One stage of a TrainConfig, in which no value is open."""

    epochs: int
    batch_size: int
    image_size: int
    learning_rate: float
    base_batch_size: int

    @property
    def peak_rate(self) -> float:
        """Peak learning rate at this batch size, scaled by the ratio to the one that the rate is meant for."""
        ratio = self.batch_size / self.base_batch_size
        return self.learning_rate * {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[self.rate_scaling]


def read_config(values: Mapping[str, Any]) -> TrainConfig:
    """The config that `TrainConfig.to_toml` wrote. Raises ConfigError for unknown names and invalid values."""
    if unknown := sorted(set(values) - {item.name for item in fields(TrainConfig)}):
        raise ConfigError(f"a recipe contains {', '.join(unknown)}, which lab does not know; see lab train --help")
    require("architecture" in values, "a recipe's architecture", f"one of {', '.join(ARCHITECTURES)}", "none")
    stages = tuple(from_toml(TrainConfig, stage) for stage in tables(values, "stages"))
    return TrainConfig(**{**from_toml(TrainConfig, values), "stages": stages})  # type: ignore[arg-type]
