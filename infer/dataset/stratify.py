"""Stratified random splits that keep patients together: a validation split, or splits of any shares."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from infer.core.errors import DataError
from infer.dataset.copies import find_copies
from infer.dataset.group_counts import GroupCounts, Ints
from infer.dataset.group_folds import first_group_fold, number_groups
from infer.dataset.table import TRAIN, VALID, Table

FOLDS = 5
"""The validation split is one of this many folds of the training images."""


def with_validation(table: Table, seed: int) -> Table:
    """Return the table itself if it has a validation split, otherwise one with a fifth of its training images moved.

    The split is stratified by class, and all images of a group, and all copies of an image, stay together; the table's
    notes tell of copies. A class that would lose all its training images stays in training.

    Raises:
        DataError: there are too few images or groups to split.
    """
    if VALID in table.splits:
        return table
    rows = table.rows(TRAIN)
    labels = table.labels[rows]
    copies = find_copies(table.take(rows))
    groups = number_groups(copies.groups(), rows)
    count = int(groups.max(initial=-1)) + 1
    too_few = DataError(
        f"{len(rows)} training images in {count} groups are too few to split off a validation split; "
        "give a validation split of your own"
    )
    if count < FOLDS or max(table.counts(TRAIN)) < FOLDS:
        raise too_few
    fold = first_group_fold if count < len(groups) else _first_fold
    held_out = _keep_every_class_in_training(fold(labels, groups, FOLDS, seed), labels, groups)
    if not len(held_out):
        raise too_few
    splits = list(table.splits)
    for row in rows[held_out].tolist():
        splits[row] = VALID
    known = [group for group in copies.table.groups if group]
    method = "a fifth of training, stratified" + (" by group" if len(set(known)) < len(known) else "")
    method += ", copies together" if copies.rows else ""
    layout = f"{table.layout}; validation: {method}, seed {seed}"
    return replace(table, splits=tuple(splits), layout=layout, notes=(*table.notes, *copies.notes()))


def stratified_splits(table: Table, shares: Mapping[str, float], seed: int) -> list[str]:
    """Assign each row of a labelled table to a split, [n].

    Groups are assigned one after another, those with many images first and among these those with uneven classes, each
    to the split that then comes closest to its share of every class. scikit-learn's StratifiedGroupKFold does this for
    equal shares, but in another order, in which a large group of even classes may come last, when nothing is left to
    balance it. Where every image is a group of its own this is Webster's apportionment, exact to one image per class. A
    class that would have no training images is moved to training as a whole.

    Args:
        table: its labels are all known.
        shares: the share of the images of each split; they add up to 1, and the first split is TRAIN.
        seed: the seed of the order among equal groups.
    """
    names = list(shares)
    group_of_row = _in_order_of_appearance(table.groups)
    counts = GroupCounts(table.labels, group_of_row, len(table.classes))
    target = np.outer(list(shares.values()), counts.per_class.astype(np.float64))
    scale = np.maximum(target, 1e-9)
    assigned = np.zeros_like(target)
    split_of_group = np.zeros(len(counts.images), dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(counts.images))
    order = shuffled[np.lexsort((-counts.unevenness()[shuffled], -counts.images[shuffled]))]
    for group, parts in zip(order.tolist(), counts.parts(order), strict=True):
        images = np.zeros(len(table.classes))
        for label, count in parts:
            images[label] = count
        # the change of sum (assigned - target)^2 / target
        increase = images * (images + 2 * (assigned - target)) / scale
        split_of_group[group] = increase.sum(axis=1).argmin()
        assigned[split_of_group[group]] += images
    for label in np.flatnonzero((assigned[0] == 0) & (assigned.sum(axis=0) > 0)).tolist():
        split_of_group[counts.groups_with(label)] = 0
    return [names[split] for split in split_of_group[group_of_row].tolist()]


def _in_order_of_appearance(groups: Sequence[str]) -> Ints:
    """Number the groups of images, [n]; an image without a group ("") is one of its own."""
    numbers, known, count = np.empty(len(groups), dtype=np.int64), dict[str, int](), 0
    for row, group in enumerate(groups):
        number = known.setdefault(group, count) if group else count
        numbers[row] = number
        count += number == count
    return numbers


def _first_fold(labels: Ints, groups: Ints, folds: int, seed: int) -> Ints:
    """Return the positions of the first of the folds, stratified by label; every image is a group of its own."""
    import warnings

    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer images than folds: kept in training afterwards
        _, held_out = next(iter(StratifiedKFold(folds, shuffle=True, random_state=seed).split(groups, labels)))
    positions: Ints = held_out
    return positions


def _keep_every_class_in_training(held_out: Ints, labels: Ints, groups: Ints) -> Ints:
    """Return the held-out positions without the groups of any class that would have no training images left."""
    trained = np.unique(np.delete(labels, held_out))
    exhausted = np.unique(groups[held_out[~np.isin(labels[held_out], trained)]])
    return held_out[~np.isin(groups[held_out], exhausted)]
