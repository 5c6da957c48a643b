"""Every knob of training, with its default and what it takes. Standard library only: the CLI reads it at start-up."""

import dataclasses
import json
import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from infer.config import Device
from infer.errors import ConfigError

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "constant"]
Flips = Literal["both", "horizontal", "vertical", "none"]

ARCHITECTURE_NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")

BY_DEVICE: dict[str, dict[str, int]] = {
    "cuda": {"epochs": 25, "batch_size": 64, "image_size": 224},
    "cpu": {"epochs": 12, "batch_size": 32, "image_size": 64},
}
"""What suits a device where the user does not say."""
LEARNING_RATE: dict[str, float] = {"sgd": 0.02, "adamw": 0.001}
"""What suits an optimizer where the user does not say."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run, valid once built."""

    architecture: str
    """resnet18, resnet34, resnet50, resnet101 or resnet152; capitals and hyphens are understood."""
    data: str = ""
    """Folder of the data set, in any layout; empty: the built-in synthetic set."""
    fold: int | None = None
    """C-NMC's validation fold; None: 2."""
    epochs: int | None = None
    """Passes over the training images, above 0; None: by device."""
    batch_size: int | None = None
    """Images a step, at least 2; None: by device."""
    image_size: int | None = None
    """Side in pixels of the square window that the network sees, 32 to 2048; None: by device."""
    optimizer: Optimizer = "sgd"
    """sgd (with Nesterov momentum) or adamw."""
    learning_rate: float | None = None
    """At the start, above 0; None: by optimizer."""
    momentum: float = 0.9
    """SGD momentum, in [0, 1)."""
    weight_decay: float = 5e-4
    """At least 0; not applied to biases and normalisation."""
    schedule: Schedule = "cosine"
    """cosine: from the learning rate down to 0 over the run; constant: the same throughout."""
    rotation: float = 20.0
    """Largest random rotation in degrees, either way, in [0, 180]."""
    flips: Flips = "both"
    """Which random flips training makes, each with probability 1/2."""
    seed: int = 0
    """Of the weights, the order of the images, their augmentation, and a validation split that has to be made."""
    device: Device = "auto"
    """auto: CUDA where it is there."""
    workers: int | None = None
    """Threads that decode images; None: by the number of cores."""
    out: str = "runs"
    """Folder in which the run's own folder is made."""
    monitor: str = "accuracy"
    """The validation metric that `best` follows: accuracy, balanced-accuracy, f1 (macro), or recall:CLASS."""
    ordered: bool = False
    """Whether the classes are grades: reports then add the weighted kappa."""
    pretrained: bool = False
    """Start from torchvision's ImageNet weights with a new head."""
    weights: str = ""
    """Start from this local .pth or .safetensors instead."""

    def __post_init__(self) -> None:
        name = self.architecture.lower().replace("-", "").replace("_", "")
        object.__setattr__(self, "architecture", name)
        _require(name in ARCHITECTURE_NAMES, "ARCH", f"one of {', '.join(ARCHITECTURE_NAMES)}", self.architecture)
        for field in ("epochs", "workers", "learning_rate"):
            value = getattr(self, field)
            _require(value is None or 0 < value < math.inf, _option(field), "above 0", value)
        for field, choices in (
            ("optimizer", Optimizer),
            ("schedule", Schedule),
            ("flips", Flips),
            ("device", Device),
        ):
            names = get_args(choices)
            _require(getattr(self, field) in names, _option(field), f"one of {', '.join(names)}", getattr(self, field))
        pair = self.batch_size is None or self.batch_size >= 2
        _require(pair, "--batch-size", "at least 2, for batch normalisation", self.batch_size)
        size = self.image_size
        _require(size is None or 32 <= size <= 2048, "--image-size", "from 32 to 2048", size)
        _require(0 <= self.momentum < 1, "--momentum", "at least 0 and below 1", self.momentum)
        _require(0 <= self.weight_decay < math.inf, "--weight-decay", "at least 0", self.weight_decay)
        _require(0 <= self.rotation <= 180, "--rotation", "from 0 to 180 degrees", self.rotation)
        _require(0 <= self.seed < 2**32, "--seed", "at least 0 and below 2 to the power of 32", self.seed)
        _require(not (self.pretrained and self.weights), "--weights", "given without --pretrained", self.weights)
        known = self.monitor in ("accuracy", "balanced-accuracy", "f1") or self.monitor.startswith("recall:")
        _require(known, "--monitor", "accuracy, balanced-accuracy, f1 or recall:CLASS", self.monitor)

    def resolved(self, device: str) -> "ResolvedConfig":
        """With every value that was left open filled in for `device`, "cuda" or "cpu"."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {**BY_DEVICE[device], "learning_rate": LEARNING_RATE[self.optimizer]}
        filled = {name: defaults[name] if values[name] is None else values[name] for name in defaults}
        return ResolvedConfig(**{**values, **filled, "device": device})

    def to_toml(self) -> str:
        """As TOML, each value with its field's name; values left open are left out."""
        values: dict[str, Any] = dataclasses.asdict(self)
        given = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items() if value is not None}
        return "".join(f"{name} = {text}\n" for name, text in given.items()).replace("\x7f", "\\u007f")


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(TrainConfig):
    """A TrainConfig in which no value is left open."""

    epochs: int
    batch_size: int
    image_size: int
    learning_rate: float


def _require(holds: bool, option: str, needed: str, got: object) -> None:
    if not holds:
        raise ConfigError(f"{option} must be {needed}, got {got}")


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"
