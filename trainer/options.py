"""The options of `lab train`, made from the knobs of TrainConfig, so that each is written once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infer.core.errors import ConfigError
from infer.core.knob import option
from infer.core.options import Command, typed, with_options
from infer.model.runs import RECIPE
from infer.model.runs import read_recipe as read_run_recipe
from trainer.config import TrainConfig, read_config
from trainer.recipe import DEFAULT, configure, load_recipe

USED_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "warmup": ("schedule", ("constant", "cosine", "step", "plateau")),
    "milestones": ("schedule", ("step",)),
    "drop": ("schedule", ("step", "plateau")),
    "plateau": ("schedule", ("plateau",)),
    "momentum": ("optimizer", ("sgd", "rmsprop")),
    "nesterov": ("optimizer", ("sgd",)),
    "fit": ("crop", ("None",)),
}
"""Options that do something only where another one has one of these values."""
ANY_TIME = ("data", "exclude", "device", "workers", "compile", "tensorboard")
"""What may be given with --resume: where the data and its list lie now, and what changes no result."""

VIEWED = ("fold", "exclude", "seed", "image_size", "fit", "crop", "enhance", "augment", "grayscale")
"""What changes the pictures that `lab data preview` draws."""
RANGED = (
    *("data", "fold", "exclude", "seed", "pretrained", "weights", "batch_size", "accumulate", "optimizer", "momentum"),
    *(
        "nesterov",
        "weight_decay",
        "decay_all",
        "clip_norm",
        "label_smoothing",
        "class_weights",
        "sampling",
        "device",
        "workers",
    ),
    *("image_size", "fit", "crop", "enhance", "augment", "normalization", "grayscale"),
)
"""What changes the loss that `lab find-rate` draws."""


def with_train_options(command: Command, names: Sequence[str] | None = None) -> Command:
    """`with_options` of TrainConfig; the defaults that help tells are those of the recipe `lab`."""
    return with_options(command, TrainConfig, names, load_recipe(DEFAULT).values)


def configured(architecture: str, recipe: str, given: Mapping[str, Any]) -> TrainConfig:
    """The config of what the user typed. Raises ConfigError."""
    read = load_recipe(recipe)
    if not (architecture or read.architecture):
        raise ConfigError("ARCH is missing; for example: lab train resnet18, or lab train --resume RUN")
    config = configure(architecture or read.architecture, read, typed(TrainConfig, given))
    if config.freeze and not (config.pretrained or config.weights):
        raise ConfigError("--freeze needs --pretrained or --weights: the rest of a new network has learnt nothing yet")
    for name in (name for name in given if name in USED_WITH):
        other, values = USED_WITH[name]
        found = {str(stage.get(other, getattr(config, other))) for stage in config.stages or ({},)}
        if not found & set(values):
            needed = f"{option(other)} {' or '.join(values)}" if values != ("None",) else f"no {option(other)}"
            raise ConfigError(f"{option(name)} has no effect here: it needs {needed}, which is {', '.join(found)}")
    return config


def resumed(run: Path, architecture: str, recipe: str, given: Mapping[str, Any]) -> TrainConfig:
    """The config of a run to go on with.

    Raises:
        ConfigError: something was given that would make it another run.
        DataError: the run's recipe cannot be read.
    """
    if not (run / RECIPE).is_file():
        raise ConfigError(f"--resume must be a run's folder, got {run}, in which there is no {RECIPE}")
    others = [option(name) for name in given if name not in ANY_TIME]
    others += ["ARCH"] if architecture else []
    others += ["--recipe"] if recipe != DEFAULT else []
    if others:
        allowed = ", ".join(map(option, ANY_TIME))
        raise ConfigError(
            f"--resume goes on as the run began, so {', '.join(others)} cannot be given; only {allowed} can"
        )
    return read_config({**read_run_recipe(run), **given})
