"""The labelled images on which a model is evaluated or checked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from infer.core.console import SILENT, Screen
from infer.core.errors import DataError
from infer.dataset.class_labels import to_indices
from infer.dataset.packed_kinds import find_packed
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table, read_run_table
from infer.dataset.unpack import unpack
from infer.model.card import ClassName, ModelCard
from infer.model.runs import DATA, RECIPE, read_recipe


def run_table(run: Path, card: ModelCard, root: Path | None = None, screen: Screen = SILENT) -> Table:
    """Read the table that a run was trained with; `root` is where its images are now, if they were moved.

    Images that are inside files are found in lab's cache, or unpacked into it again.

    Raises:
        DataError: the folder is not a run, its table cannot be read, or its images are gone.
    """
    if not (run / RECIPE).is_file():
        raise DataError(f"{run} is not a run folder, so its validation images are not known; name a data set")
    recipe = read_recipe(run)
    folder = root or Path(str(recipe.get("data", "")))
    if not recipe.get("labels") and (packed := find_packed(folder)):
        table = read_run_table(run / DATA, unpack(packed, screen), card.classes)
        return replace(table, name=packed.name, unpacked_from=folder)
    if not folder.is_dir():
        raise DataError(
            f"the images that {run} was trained with are no longer in {folder}; name their folder by --data"
        )
    return read_run_table(run / DATA, folder, card.classes)


def choose_split(table: Table, order: Sequence[str]) -> str:
    """Return the first of these splits that has labelled images. Raises DataError where none has."""
    for split in order:
        if any(table.counts(split)):
            return split
    raise DataError(f"{table.source} has no labelled images, which are needed here; give a data set with labels")


def labelled_images(table: Table, split: str, classes: tuple[ClassName, ...], screen: Screen) -> Table:
    """Return the labelled images of a split, with labels that are indices into a model's `classes`; print their number.

    Raises:
        DataError: there are none, or they have labels that the model does not have.
    """
    images = table.split(split)
    images = images.take(np.flatnonzero(images.labels != UNKNOWN))
    if not len(images):
        own_split = "; leave DATA out to use the run's own validation split" if split == VALID else ""
        raise DataError(
            f"{table.source} has no labelled images in its {split} split; choose another --split{own_split}"
        )
    screen.say("\n".join([f"data: {split} split of {table.name}, {len(images)} images ({table.layout})", *table.notes]))
    labels = to_indices([table.classes[label].label for label in images.labels], classes, str(table.source))
    return replace(images, labels=np.array(labels, dtype=np.int64), classes=classes)


def held_out_images(table: Table, classes: tuple[ClassName, ...], screen: Screen) -> Table:
    """Return the `labelled_images` of the first of valid, test and train that has any. Raises DataError."""
    split = choose_split(table, (VALID, TEST, TRAIN))
    images = labelled_images(table, split, classes, screen)
    if split == TRAIN:
        screen.say("note: these may be the images that the network was trained on")
    return images
