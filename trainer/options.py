"""The options of `lab train`, made from the knobs of TrainConfig, so that each is written once."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import typer

from infer.errors import ConfigError
from infer.runs import RECIPE
from infer.runs import read_recipe as read_run_recipe
from trainer.config import TrainConfig, read_config
from trainer.knob import Knob, knobs, option
from trainer.recipe import DEFAULT, configure, load_recipe

Command = TypeVar("Command", bound=Callable[..., None])
LIST = "separated by commas"
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
ANY_TIME = ("data", "device", "workers", "compile", "tensorboard")
"""What may be given with --resume: where the data lies now, and what changes no result."""

VIEWED = ("fold", "seed", "image_size", "fit", "crop", "enhance", "augment", "grayscale")
"""What changes the pictures that `lab data preview` draws."""
RANGED = (
    *("data", "fold", "seed", "pretrained", "weights", "batch_size", "accumulate", "optimizer", "momentum", "nesterov"),
    *("weight_decay", "decay_all", "clip_norm", "label_smoothing", "class_weights", "sampling", "device", "workers"),
    *("image_size", "fit", "crop", "enhance", "augment", "normalization", "grayscale"),
)
"""What changes the loss that `lab find-rate` draws."""


def with_train_options(command: Command, names: Sequence[str] | None = None) -> Command:
    """A command whose `**given` takes an option for every knob, or for some; what the user leaves out is not in it."""
    chosen = [name for name in _with_option() if names is None or name in names]
    own = [item for item in inspect.signature(command).parameters.values() if item.kind is not item.VAR_KEYWORD]
    defaults = {name: default for name, (_, _, default) in knobs(TrainConfig).items()}
    defaults |= load_recipe(DEFAULT).values
    made = [_parameter(name, *knobs(TrainConfig)[name][:2], defaults[name]) for name in chosen]

    @wraps(command)
    def run(**values: Any) -> None:
        given = {name: values.pop(name) for name in chosen}
        command(**values, **{name: value for name, value in given.items() if value is not None})

    run.__signature__ = inspect.Signature([*own, *made])  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def configured(architecture: str, recipe: str, given: Mapping[str, Any]) -> TrainConfig:
    """The config of what the user typed. Raises ConfigError."""
    read = load_recipe(recipe)
    if not (architecture or read.architecture):
        raise ConfigError("ARCH is missing; for example: lab train resnet18, or lab train --resume RUN")
    config = configure(architecture or read.architecture, read, _read(given))
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


def _with_option() -> list[str]:
    return [name for name, (what, _, _) in knobs(TrainConfig).items() if what.option]


def _parameter(name: str, what: Knob, kind: Any, default: object) -> inspect.Parameter:
    names = (option(name), *([what.short] if what.short else []))
    wanted = _plain(kind)
    if wanted is bool:
        names = (f"{option(name)}/--no-{name.replace('_', '-')}",)
    told = what.told if default is None or (what.told and not default) else _told(default)
    text = f"{what.help[:-1]}, {LIST}." if get_origin(wanted) is tuple and wanted != tuple[str, ...] else what.help
    info = typer.Option(*names, help=text, rich_help_panel=what.panel, show_default=told or False)
    typed: Any = str if get_origin(wanted) is tuple else wanted
    annotation = Annotated[typed | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plain(kind: Any) -> Any:
    """A type hint without `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(item for item in get_args(kind) if item is not type(None))
    return kind


def _told(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return ", ".join(map(str, default)) if isinstance(default, tuple | list) else str(default)


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as the values they stand for: `0.6,0.85` -> (0.6, 0.85), steps -> one text of steps, if there are any."""
    read: dict[str, Any] = {}
    for name, value in given.items():
        kind = _plain(knobs(TrainConfig)[name][1])
        if kind == tuple[str, ...]:
            read[name] = (value,) if value.strip() else ()
        elif get_origin(kind) is tuple:
            try:
                read[name] = tuple(float(item) for item in value.split(","))
            except ValueError:
                raise ConfigError(f"{option(name)} must be numbers {LIST}, got {value}") from None
        else:
            read[name] = value
    return read
