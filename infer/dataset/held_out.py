"""The labelled images that a model is held to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.dataset.class_labels import to_indices
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table, read_run_table
from infer.model.card import ClassName, ModelCard
from infer.model.runs import DATA, RECIPE, read_recipe


def run_table(run: Path, card: ModelCard, root: Path | None = None) -> Table:
    """The table that a run was trained with, its images below `root` or where they lay then. Raises DataError."""
    if not (run / RECIPE).is_file():
        raise DataError(f"{run} is no run, so its validation images are not known; name a data set")
    place = root or Path(str(read_recipe(run).get("data", "")))
    if not place.is_dir():
        raise DataError(f"the images that {run} was trained with are not at {place} any more; say where with --data")
    return read_run_table(run / DATA, place, card.classes)


def choose_split(table: Table, order: Sequence[str]) -> str:
    """The first of these splits that has labelled images. Raises DataError where none has."""
    for split in order:
        if any(table.counts(split)):
            return split
    raise DataError(f"{table.root} has no labelled images, and the truth is needed; give a data set with labels")


def labelled_images(table: Table, split: str, classes: tuple[ClassName, ...], screen: Screen) -> Table:
    """The labelled images of a split, which are said; their labels are indices into a model's `classes`.

    Raises:
        DataError: there are none, or they have labels that the model does not know.
    """
    found = table.split(split)
    found = found.take(np.flatnonzero(found.labels != UNKNOWN))
    if not len(found):
        own_split = "; leave DATA out for the images that lab set apart" if split == VALID else ""
        raise DataError(f"{table.root} has no labelled images in its {split} split; choose another --split{own_split}")
    screen.say(f"data: {split} split of {table.name}, {len(found)} images ({table.layout})")
    labels = to_indices([table.classes[label].label for label in found.labels], classes, str(table.root))
    return replace(found, labels=np.array(labels, dtype=np.int64), classes=classes)


def held_out_images(table: Table, classes: tuple[ClassName, ...], screen: Screen) -> Table:
    """`labelled_images` of the split to hold a model to: the first of valid, test and train that has any."""
    split = choose_split(table, (VALID, TEST, TRAIN))
    found = labelled_images(table, split, classes, screen)
    if split == TRAIN:
        screen.say("note: these may be the very images that the network was trained on")
    return found
