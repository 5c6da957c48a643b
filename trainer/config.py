"""Every knob of training, with its default and what it takes. Standard library only: the CLI reads it at start-up.

The defaults here are the plain ones: no augmentation, no schedule. What `lab train` does by default is the recipe
`lab`, in recipes/lab.toml.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from infer.config import LEFT_OUT, Device
from infer.core.errors import ConfigError
from infer.core.knob import check, from_toml, knob, knobs, require, tables
from trainer.augment.parse import parse_steps

Optimizer = Literal["sgd", "adamw", "adam", "nadam", "radam", "rmsprop", "adagrad"]
Schedule = Literal["constant", "cosine", "one-cycle", "step", "plateau"]
Fit = Literal["shorter", "longer", "stretch"]
NormalizationKind = Literal["imagenet", "data", "none", "whiten", "image"]
ClassWeights = Literal["none", "inverse", "share", "effective"]
Sampling = Literal["shuffle", "balanced"]
RateScaling = Literal["none", "linear", "sqrt"]
Compile = Literal["auto", "on", "off"]
StageStart = Literal["last", "best"]

ARCHITECTURE_NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
METRICS = ("accuracy", "balanced-accuracy", "f1")

BY_DEVICE: dict[str, dict[str, int]] = {
    "cuda": {"epochs": 25, "batch_size": 64, "image_size": 224},
    "cpu": {"epochs": 12, "batch_size": 32, "image_size": 64},
}
"""What suits a device where neither the user nor the recipe says."""
LEARNING_RATE: dict[str, float] = {
    "sgd": 0.05,
    "adamw": 1e-3,
    "adam": 1e-3,
    "nadam": 1e-3,
    "radam": 1e-3,
    "rmsprop": 1e-4,
    "adagrad": 1e-2,
}
"""What suits an optimizer where neither the user nor the recipe says."""

DATA, VIEW, LEARN, BALANCE, MACHINE = "Data and run", "What the network sees", "Learning", "Loss and balance", "Machine"


def _by_device(name: str) -> str:
    return f"{BY_DEVICE['cuda'][name]} on CUDA, {BY_DEVICE['cpu'][name]} on a CPU"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run, valid once built. None means: what suits the device, or the optimizer."""

    architecture: str
    """resnet18, resnet34, resnet50, resnet101 or resnet152; capitals and hyphens are understood."""
    recipe: str = ""
    """The recipe's name, for people; its values are in the other fields."""
    stages: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """What differs in each stage of the run, by field; none: one stage with the values above."""

    data: str = knob("", "Folder of the data set.", panel=DATA, default_text="built-in synthetic cells", whole_run=True)
    fold: int | None = knob(None, "C-NMC's validation fold.", panel=DATA, default_text="2", minimum=0, whole_run=True)
    exclude: str = knob("", LEFT_OUT, panel=DATA, default_text="none", whole_run=True)
    seed: int = knob(
        0, "Seed of weights, order, augmentation and split.", panel=DATA, minimum=0, maximum=2**32 - 1, whole_run=True
    )
    out: str = knob("runs", "Folder in which the run's folder is made.", panel=DATA, whole_run=True)
    monitor: str = knob(
        "accuracy", "What `best` follows: accuracy, balanced-accuracy, f1 or recall:CLASS.", panel=DATA, whole_run=True
    )
    ordered: bool = knob(False, "The classes are grades.", panel=DATA, whole_run=True)
    pretrained: bool = knob(False, "Start from ImageNet weights.", panel=DATA, whole_run=True)
    weights: str = knob("", "Start from a local .pth or .safetensors.", panel=DATA, whole_run=True)

    image_size: int | None = knob(
        None, "Input side in pixels.", panel=VIEW, minimum=32, maximum=2048, default_text=_by_device("image_size")
    )
    fit: Fit = knob(
        "shorter",
        "How an image becomes a square: its shorter side 8/7 of the window, then the centre; all of it with black "
        "beside (longer); all of it out of shape (stretch).",
        panel=VIEW,
    )
    crop: int | None = knob(
        None,
        "Cut this many pixels from the centre of the file's image, then resize; instead of --fit.",
        panel=VIEW,
        minimum=8,
        maximum=8192,
        default_text="none",
    )
    enhance: tuple[str, ...] = knob(
        (),
        "Before all else: clahe(clip, tiles), unsharp(sigma, strength), white_balance, mean_filter(size).",
        panel=VIEW,
    )
    augment: tuple[str, ...] = knob(
        (),
        "Random steps on the device, such as 'rotation(20), hflip, jitter(0.2) @ 0.5'; see docs/augmentation.md.",
        panel=VIEW,
    )
    normalization: NormalizationKind = knob(
        "imagenet",
        "ImageNet's mean and std, the training data's own, none (0 to 1), colour whitening, or each image's own.",
        panel=VIEW,
    )
    grayscale: bool = knob(False, "The network sees grey levels only.", panel=VIEW)

    epochs: int | None = knob(
        None, "Passes over the training images.", panel=LEARN, above=0, short="-e", default_text=_by_device("epochs")
    )
    batch_size: int | None = knob(
        None, "Images a step, over all GPUs.", panel=LEARN, minimum=2, short="-b", default_text=_by_device("batch_size")
    )
    accumulate: int = knob(1, "Parts into which a batch that does not fit is cut.", panel=LEARN, above=0)
    optimizer: Optimizer = knob("sgd", "Of torch.optim.", panel=LEARN, short="-o")
    learning_rate: float | None = knob(
        None,
        "The highest of the schedule.",
        panel=LEARN,
        above=0,
        short="-r",
        default_text=f"{LEARNING_RATE['sgd']:g} with sgd, {LEARNING_RATE['adamw']:g} with adamw",
    )
    rate_scaling: RateScaling = knob(
        "none", "How the rate grows where --batch-size differs from the recipe's.", panel=LEARN
    )
    base_batch_size: int | None = knob(
        None, "The batch size that the rate is meant for.", panel=LEARN, above=0, default_text="the recipe's"
    )
    momentum: float = knob(0.9, "Of sgd and rmsprop.", panel=LEARN, minimum=0, below=1)
    nesterov: bool = knob(False, "Nesterov's form of sgd's momentum.", panel=LEARN)
    weight_decay: float = knob(5e-4, "On the weights of convolutions and head.", panel=LEARN, minimum=0)
    decay_all: bool = knob(False, "Weight decay on biases and normalisation too.", panel=LEARN)
    schedule: Schedule = knob("constant", "Of the learning rate.", panel=LEARN)
    warmup: float = knob(0.0, "Epochs in which the rate rises from 0; one-cycle has its own.", panel=LEARN, minimum=0)
    milestones: tuple[float, ...] = knob(
        (0.6, 0.85), "Of step: where the rate drops, as shares of the epochs.", panel=LEARN, above=0, below=1
    )
    drop: float = knob(0.1, "Of step and plateau: what the rate is multiplied by.", panel=LEARN, above=0, below=1)
    plateau: int = knob(5, "Of plateau: epochs without a better metric before a drop.", panel=LEARN, above=0)
    clip_norm: float | None = knob(None, "Largest norm of all gradients.", panel=LEARN, above=0, default_text="none")
    ema: float = knob(
        0.0,
        "Decay a step of an average of the weights, which is then what is judged and kept.",
        panel=LEARN,
        minimum=0,
        below=1,
    )
    freeze: int = knob(0, "First epochs in which only the head learns.", panel=LEARN, minimum=0, whole_run=True)
    patience: int | None = knob(
        None, "Stop after epochs without a better metric.", panel=LEARN, above=0, default_text="never", whole_run=True
    )
    stage_start: StageStart = knob("last", "Which weights of the stage before.", panel=LEARN, option=False)

    label_smoothing: float = knob(0.0, "Share of the truth spread over all classes.", panel=BALANCE, minimum=0, below=1)
    class_weights: ClassWeights = knob(
        "none", "Of the loss: n/(K n_class), 1 - n_class/n, or by effective number.", panel=BALANCE
    )
    sampling: Sampling = knob("shuffle", "balanced: every class equally often.", panel=BALANCE)

    device: Device = knob(
        "auto", "cuda fails where CUDA cannot be had; auto says what it chose.", panel=MACHINE, whole_run=True
    )
    workers: int | None = knob(
        None, "Processes that decode images.", panel=MACHINE, above=0, default_text="all cores", whole_run=True
    )
    compile: Compile = knob("auto", "torch.compile; auto: on CUDA where the work ahead pays for it.", panel=MACHINE)
    sync_bn: bool = knob(False, "Batch normalisation over all GPUs.", panel=MACHINE, whole_run=True)
    tensorboard: bool = knob(
        False, "Log for TensorBoard too; needs the extra of that name.", panel=MACHINE, whole_run=True
    )

    def __post_init__(self) -> None:
        name = str(self.architecture).lower().replace("-", "").replace("_", "")
        object.__setattr__(self, "architecture", name)
        require(name in ARCHITECTURE_NAMES, "ARCH", f"one of {', '.join(ARCHITECTURE_NAMES)}", self.architecture)
        check(self, TrainConfig)
        parse_steps(self.augment)
        require(not (self.pretrained and self.weights), "--weights", "given without --pretrained", self.weights)
        known = self.monitor in METRICS or self.monitor.startswith("recall:")
        require(known, "--monitor", "accuracy, balanced-accuracy, f1 or recall:CLASS", self.monitor)
        if self.batch_size is not None:
            cut = self.batch_size // self.accumulate
            require(
                self.batch_size % self.accumulate == 0, "--accumulate", "a divisor of --batch-size", self.accumulate
            )
            require(cut >= 2, "--accumulate", "such that parts have 2 images or more", self.accumulate)
        require(len(set(self.milestones)) == len(self.milestones) > 0, "--milestones", "different", self.milestones)
        for number, stage in enumerate(self.stages, 1):
            self._check_stage(number, stage)

    def _check_stage(self, number: int, stage: Mapping[str, Any]) -> None:
        every = knobs(TrainConfig)
        for name in stage:
            if name not in every:
                raise ConfigError(f"stage {number}: lab does not know {name}; see lab train --help")
            if every[name][0].whole_run:
                raise ConfigError(f"stage {number}: {name} is the same in all stages of a run; give it above them")
        try:
            replace(self, **{**stage, "stages": ()})
        except ConfigError as error:
            raise ConfigError(f"stage {number}: {error}") from None

    def resolved(self, device: str) -> tuple["ResolvedConfig", ...]:
        """Each stage with every value that was left open filled in for `device`, "cuda" or "cpu"."""
        return tuple(self._stage(stage, device) for stage in self.stages or ({},))

    def _stage(self, stage: Mapping[str, Any], device: str) -> "ResolvedConfig":
        values = {item.name: getattr(self, item.name) for item in fields(TrainConfig)} | {**stage, "stages": ()}
        by_device, rate = BY_DEVICE[device], LEARNING_RATE[values["optimizer"]]
        defaults = {**by_device, "learning_rate": rate, "base_batch_size": by_device["batch_size"]}
        filled = {name: defaults[name] if values[name] is None else values[name] for name in defaults}
        return ResolvedConfig(**{**values, **filled, "device": device})

    def to_toml(self) -> str:
        """As TOML, each value with its field's name; values left open are left out."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "stages"}
        return _toml(plain) + "".join(f"\n[[stages]]\n{_toml(stage)}" for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(TrainConfig):
    """One stage of a TrainConfig, in which no value is left open."""

    epochs: int
    batch_size: int
    image_size: int
    learning_rate: float
    base_batch_size: int

    @property
    def peak_rate(self) -> float:
        """The learning rate for this batch size: scaled by the ratio to the batch size that it is meant for."""
        ratio = self.batch_size / self.base_batch_size
        factors: dict[RateScaling, float] = {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}
        return self.learning_rate * factors[self.rate_scaling]


def read_config(values: Mapping[str, Any]) -> TrainConfig:
    """The config of a `to_toml`. Raises ConfigError for what it would not have written."""
    stages = tuple(from_toml(TrainConfig, stage) for stage in tables(values, "stages"))
    try:
        return TrainConfig(**{**from_toml(TrainConfig, values), "stages": stages})  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigError(f"a recipe holds what lab does not know: {error}") from error


def _toml(values: Mapping[str, Any]) -> str:
    given = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items() if value is not None}
    return "".join(f"{name} = {text}\n" for name, text in given.items()).replace("\x7f", "\\u007f")
