"""The options of `lab train`, `lab data preview` and `lab find-rate`, and the TrainConfig made from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from infer.config import DATA_HELP
from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob, option
from infer.core.options import settings_of, with_settings
from infer.core.output_paths import require_folder_name
from infer.model.runs import RECIPE
from infer.model.runs import read_recipe as read_run_recipe
from trainer.config import TrainConfig, read_config
from trainer.model.architectures import ARCHITECTURES
from trainer.recipe import DEFAULT, apply_recipe, load_recipe, recipe_values

USED_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "warmup": ("schedule", ("constant", "cosine", "step", "plateau")),
    "milestones": ("schedule", ("step",)),
    "drop": ("schedule", ("step", "plateau")),
    "plateau": ("schedule", ("plateau",)),
    "momentum": ("optimizer", ("sgd", "rmsprop")),
    "nesterov": ("optimizer", ("sgd",)),
    "fit": ("crop", ("None",)),
}
"""Options that have an effect only where another option has one of these values."""
WITH_RESUME = ("data", "labels", "images", "exclude", "device", "workers", "compile", "tensorboard")
"""Options allowed with --resume: where the data and its list lie now, and what changes no result."""

SOURCE = ("labels", "images", "image_column", "label_column", "group_column", "split_column", "keep_masks")
"""Values that describe the data set beside its folder."""
PREVIEWED = (*SOURCE, "fold", "exclude", "seed", "image_size", "fit", "crop", "enhance", "augment", "grayscale")
"""Values that change the sheets of `lab data preview`."""
RANGE_TESTED = (
    *("data", *SOURCE, "fold", "exclude", "seed", "pretrained", "weights", "batch_size", "accumulate", "optimizer"),
    *("momentum", "nesterov", "weight_decay", "decay_all", "clip_norm", "label_smoothing", "class_weights", "sampling"),
    *("device", "workers", "image_size", "fit", "crop", "enhance", "augment", "normalization", "grayscale"),
)
"""Values that change the loss curve of `lab find-rate`."""

ARCHITECTURE_HELP = f"Architecture: {', '.join(ARCHITECTURES)}."
RECIPE_HELP = "Recipe from lab recipes, or TOML file. Defaults below are those of the recipe lab."


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What `lab train` takes beside the values of TrainConfig."""

    arch: str = argument("ARCH", ARCHITECTURE_HELP, default="")
    recipe: str = knob(DEFAULT, RECIPE_HELP)
    resume: Path | None = knob(None, "Resume the run in this folder.", metavar="RUN", default_text="none")

    def train_config(self, values: Mapping[str, Any]) -> TrainConfig:
        """The config of the run to start or to resume."""
        if self.resume:
            return resume_config(self.resume, self.arch, self.recipe, values)
        config = build_config(self.arch, self.recipe, values)
        require_folder_name("--out", Path(config.out))
        return config


@dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """What `lab data preview` takes beside the values of TrainConfig."""

    data: Path = argument("DATA", DATA_HELP)
    recipe: str = knob(DEFAULT, RECIPE_HELP)
    per_class: int = knob(4, "Images per class.", minimum=1, maximum=100)
    draws: int = knob(4, "Augmented views per image.", minimum=0, maximum=20)
    out: Path = knob(Path("preview"), "Folder for the sheets.")

    def __post_init__(self) -> None:
        check(self, PreviewOptions)
        require_folder_name("--out", self.out)

    def train_config(self, values: Mapping[str, Any]) -> TrainConfig:
        """The config whose images are drawn; the architecture makes no difference to them."""
        return build_config(next(iter(ARCHITECTURES)), self.recipe, {**values, "data": str(self.data)})


@dataclass(frozen=True, kw_only=True)
class RangeTestOptions:
    """What `lab find-rate` takes beside the values of TrainConfig."""

    arch: str = argument("ARCH", ARCHITECTURE_HELP)
    recipe: str = knob(DEFAULT, RECIPE_HELP)
    out: Path = knob(Path("learning-rate.png"), "PNG to write; a CSV of the figures goes beside it.")

    def train_config(self, values: Mapping[str, Any]) -> TrainConfig:
        """The config of the training whose learning rate is raised."""
        return build_config(self.arch, self.recipe, values)


Options = TypeVar("Options", TrainOptions, PreviewOptions, RangeTestOptions)


def train_options(
    options: type[Options], names: Sequence[str] | None = None
) -> Callable[[Callable[[TrainConfig, Options], None]], Callable[..., None]]:
    """Give a command the options of a class above and of TrainConfig; the command is called with both.

    Help shows the values of the recipe `lab` as defaults.

    Args:
        options: what the command takes beside the values of TrainConfig.
        names: the values of TrainConfig that it takes; None: all.
    """
    defaults = recipe_values(DEFAULT)
    own = settings_of(options)
    training = {
        name: setting._replace(default=defaults.get(name, setting.default))
        for name, setting in settings_of(TrainConfig).items()
        if names is None or name in names
    }

    def decorate(command: Callable[[TrainConfig, Options], None]) -> Callable[..., None]:
        def run(values: dict[str, Any]) -> None:
            parsed = options(**{name: values.pop(name) for name in own if name in values})
            command(parsed.train_config(values), parsed)

        return with_settings(command, {**own, **training}, run)

    return decorate


def build_config(architecture: str, recipe: str, values: Mapping[str, Any]) -> TrainConfig:
    """The config of a recipe, changed by the values of TrainConfig that the user gave. Raises ConfigError."""
    loaded = load_recipe(recipe)
    if not (architecture or loaded.architecture):
        raise ConfigError("ARCH is missing; for example: lab train resnet18, or lab train --resume RUN")
    config = apply_recipe(architecture or loaded.architecture, loaded, values)
    if config.freeze and not (config.pretrained or config.weights):
        raise ConfigError("--freeze needs --pretrained or --weights: a new network has no trained layers to freeze")
    for name in values:
        _check_effect(name, config)
    return config


def _check_effect(name: str, config: TrainConfig) -> None:
    """Raise ConfigError for an option that has no effect in any stage."""
    if name not in USED_WITH:
        return
    other, needed = USED_WITH[name]
    values = {str(stage.get(other, getattr(config, other))) for stage in config.stages or ({},)}
    if values.isdisjoint(needed):
        remedy = f"no {option(other)}" if needed == ("None",) else f"{option(other)} {' or '.join(needed)}"
        raise ConfigError(f"{option(name)} has no effect here: it needs {remedy}, which is {', '.join(values)}")


def resume_config(run: Path, architecture: str, recipe: str, values: Mapping[str, Any]) -> TrainConfig:
    """The config of a run to resume.

    Raises:
        ConfigError: an option would make it a different run.
        DataError: the run's recipe cannot be read.
    """
    if not (run / RECIPE).is_file():
        raise ConfigError(f"--resume must be a run's folder, got {run}, in which there is no {RECIPE}")
    refused = [option(name) for name in values if name not in WITH_RESUME]
    refused += ["ARCH"] if architecture else []
    refused += ["--recipe"] if recipe != DEFAULT else []
    if refused:
        allowed = ", ".join(map(option, WITH_RESUME))
        raise ConfigError(
            f"--resume continues a run with its own values, so {', '.join(refused)} cannot be given; only {allowed} can"
        )
    return read_config({**read_run_recipe(run), **values})
