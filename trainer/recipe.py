"""Recipes: named sets of training values, as TOML files whose comments give the source of each value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infer.core.errors import ConfigError
from infer.core.files import expand_home
from infer.core.knob import from_toml, knobs, tables
from infer.core.parse import parse_toml
from trainer.config import TrainConfig, read_config
from trainer.model.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from rich.table import Table

FOLDER = Path(__file__).parent / "recipes"
DEFAULT = "lab"


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe file."""

    name: str
    text: str
    """The file's text, with its comments."""
    about: str
    """One line: the purpose of the recipe."""
    reached: str
    """One line: the result of its report; empty if there is none."""
    values: Mapping[str, Any]
    """Values of TrainConfig's fields, and `stages`."""
    architecture: str
    """The network of a run's own recipe.toml; empty in other recipes."""
    by_architecture: Mapping[str, Mapping[str, Any]]
    """The values that are different for some architectures."""

    def values_for(self, architecture: str) -> dict[str, Any]:
        """The values for one architecture."""
        return {**self.values, **self.by_architecture.get(architecture, {})}


def recipe_names() -> list[str]:
    """The names of the built-in recipes: the default one, then the others in alphabetical order."""
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT)


def recipe_values(name: str) -> dict[str, Any]:
    """The values of a built-in recipe, as its file has them; light enough for `lab --help`."""
    return parse_toml((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def load_recipe(name: str) -> Recipe:
    """A built-in recipe by its name, or one in a TOML file by its path, such as a run's recipe.toml.

    Raises:
        ConfigError: there is no such recipe, the file is not TOML, or it has an unknown name or an invalid value.
    """
    path = FOLDER / f"{name}.toml" if name in recipe_names() else expand_home(name)
    if not path.is_file():
        raise ConfigError(f"--recipe must be one of {', '.join(recipe_names())}, or a TOML file; got {name}")
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")  # in a run's, a path may be no UTF-8
        content = parse_toml(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error}; check it") from error
    by_architecture = {key: content.pop(key) for key in ARCHITECTURES if key in content}
    about, reached = str(content.pop("about", "")), str(content.pop("reached", ""))
    content.pop("recipe", None)  # a run's recipe.toml contains the name of its recipe, and its network
    architecture = str(content.pop("architecture", ""))
    _check_names(path, content, by_architecture)
    short_name = path.stem if path.parent == FOLDER else name
    recipe = Recipe(short_name, text, about, reached, content, architecture, by_architecture)
    try:
        for architecture_name in ARCHITECTURES:
            apply_recipe(architecture_name, recipe, {})
    except ConfigError as error:
        raise ConfigError(f"the recipe {path}: {error}") from None
    return recipe


def _check_names(path: Path, values: Mapping[str, Any], by_architecture: Mapping[str, Any]) -> None:
    """Raise ConfigError unless each name in a recipe is a field of TrainConfig, or the table of an architecture."""
    for key, table in by_architecture.items():
        if not isinstance(table, dict):
            raise ConfigError(f"the recipe {path}: {key} must be a table of values, headed [{key}], got {table}")
    known = {*knobs(TrainConfig), "stages"}
    if unknown := sorted({key for table in (values, *by_architecture.values()) for key in table} - known):
        meant = unknown[0].replace("-", "_")
        remedy = f"write {meant}" if meant in known else "see lab train --help"
        raise ConfigError(f"the recipe {path} contains {', '.join(unknown)}, which lab does not know; {remedy}")


def apply_recipe(architecture: str, recipe: Recipe, changes: Mapping[str, Any]) -> TrainConfig:
    """The config of a recipe for one architecture; the user's changes replace the recipe's values in every stage.

    If the batch size is changed, the recipe's own becomes the one that its learning rate is scaled from.

    Raises:
        ConfigError: a value is invalid.
    """
    plain = TrainConfig(architecture=architecture, recipe=recipe.name)
    values = recipe.values_for(plain.architecture)
    for name, exclusive in (("weights", "pretrained"), ("pretrained", "weights")):
        if changes.get(name):
            values.pop(exclusive, None)
    named = {"architecture": plain.architecture, "recipe": recipe.name}
    stages = [_unchanged(stage, changes) for stage in tables(values, "stages")]
    return read_config({**_unchanged(values, changes), **from_toml(TrainConfig, changes), **named, "stages": stages})


def _unchanged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not changed, with their batch size as the base of their learning rate.

    Changing either of `fit` and `crop` replaces both.
    """
    base = {"base_batch_size": values["batch_size"]} if "batch_size" in values else {}
    replaced = {*changes, *(("fit", "crop") if {"fit", "crop"} & set(changes) else ())}
    return {name: value for name, value in {**base, **values}.items() if name not in replaced}


def recipe_table() -> "Table":
    """A table of the built-in recipes for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("recipe", "for", "its report reached")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row(*(Text(cell) for cell in (name, recipe.about, recipe.reached or "-")))
    return table
