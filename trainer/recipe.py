"""Recipes: named sets of training values, as TOML files whose comments say where each value comes from."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infer.core.errors import ConfigError
from infer.core.knob import from_toml, knobs, tables
from trainer.config import ARCHITECTURE_NAMES, TrainConfig, read_config

if TYPE_CHECKING:
    from rich.table import Table

FOLDER = Path(__file__).parent / "recipes"
DEFAULT = "lab"


@dataclass(frozen=True)
class Recipe:
    """A recipe file, read."""

    name: str
    text: str
    """The file as it is, with its comments."""
    about: str
    """One line: what it is for."""
    reached: str
    """One line: what its report reached; empty where there is none."""
    values: Mapping[str, Any]
    """Of TrainConfig's fields, and `stages`."""
    architecture: str
    """The network that a run's own file names; empty in others."""
    by_architecture: Mapping[str, Mapping[str, Any]]
    """What is different for some architectures."""

    def of(self, architecture: str) -> dict[str, Any]:
        """The values for one architecture."""
        return {**self.values, **self.by_architecture.get(architecture, {})}


def recipe_names() -> list[str]:
    """The built-in recipes: the default one, then the others by name."""
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT)


def load_recipe(name: str) -> Recipe:
    """A built-in recipe by its name, or one in a TOML file by its path, such as a run's recipe.toml.

    Raises:
        ConfigError: there is no such recipe, it is no TOML, or it holds a value that makes no sense.
    """
    path = FOLDER / f"{name}.toml" if name in recipe_names() else Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"--recipe must be one of {', '.join(recipe_names())}, or a TOML file; got {name}")
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error}; check it") from error
    known = set(knobs(TrainConfig)) | {"stages"}
    by_architecture = {key: content.pop(key) for key in ARCHITECTURE_NAMES if key in content}
    about, reached = str(content.pop("about", "")), str(content.pop("reached", ""))
    content.pop("recipe", None)  # a run's own file names it, and the network
    architecture = str(content.pop("architecture", ""))
    for key, place in by_architecture.items():
        if not isinstance(place, dict):
            raise ConfigError(f"the recipe {path}: {key} must be a table of values, headed [{key}], got {place}")
    if strange := sorted({key for place in (content, *by_architecture.values()) for key in place} - known):
        meant = strange[0].replace("-", "_")
        remedy = f"write {meant}" if meant in known else "see lab train --help"
        raise ConfigError(f"the recipe {path} holds {', '.join(strange)}, which lab does not know; {remedy}")
    short = path.stem if path.parent == FOLDER else name
    recipe = Recipe(short, text, about, reached, content, architecture, by_architecture)
    try:
        for each in ARCHITECTURE_NAMES:
            configure(each, recipe, {})
    except ConfigError as error:
        raise ConfigError(f"the recipe {path}: {error}") from None
    return recipe


def configure(architecture: str, recipe: Recipe, given: Mapping[str, Any]) -> TrainConfig:
    """The config of a recipe for one architecture, in which what the user has given replaces the recipe's values.

    A value that was given holds in every stage. Where the batch size is given, the recipe's is what its learning rate
    is meant for.

    Raises:
        ConfigError: a value makes no sense.
    """
    plain = TrainConfig(architecture=architecture, recipe=recipe.name)
    values = recipe.of(plain.architecture)
    for one, other in (("weights", "pretrained"), ("pretrained", "weights")):  # only one of them can be
        if given.get(one):
            values.pop(other, None)
    named = {"architecture": plain.architecture, "recipe": recipe.name}
    stages = [_replaced(stage, given) for stage in tables(values, "stages")]
    return read_config({**_replaced(values, given), **from_toml(TrainConfig, given), **named, "stages": stages})


def _replaced(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not given, and their batch size as the base of their learning rate.

    Of `fit` and `crop` one stands for the other.
    """
    base = {"base_batch_size": values["batch_size"]} if "batch_size" in values else {}
    out = {*given, *(("fit", "crop") if {"fit", "crop"} & set(given) else ())}
    return {name: value for name, value in {**base, **values}.items() if name not in out}


def recipe_table() -> "Table":
    """The built-in recipes, for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("recipe", "for", "its report reached")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row(*(Text(cell) for cell in (name, recipe.about, recipe.reached or "-")))
    return table
