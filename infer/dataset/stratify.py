"""Splits, stratified, by patient where patients are known, by seed: for validation alone, or of any shares."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from infer.core.errors import DataError
from infer.dataset.table import TRAIN, VALID, Table

FOLDS = 5
"""One fifth of the training images becomes the validation split."""


def with_validation(table: Table, seed: int) -> Table:
    """The table itself if it has a validation split, otherwise one with a fifth of its training images in one.

    Classes keep their shares as far as they can, and all images of a group stay together. A class that would be left
    without training images stays in training.

    Raises:
        DataError: there are too few images or groups to split.
    """
    if VALID in table.splits:
        return table
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    rows = np.array([row for row, split in enumerate(table.splits) if split == TRAIN])
    labels = table.labels[rows]
    groups = np.array([table.groups[row] or f"\0{row}" for row in rows])
    too_few = DataError(
        f"{len(rows)} training images in {len(set(groups))} groups are too few to set some apart for validation; "
        "give a validation split of your own"
    )
    if len(set(groups)) < FOLDS or max(table.counts(TRAIN)) < FOLDS:
        raise too_few
    grouped = len(set(groups)) < len(groups)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(n_splits=FOLDS, shuffle=True, random_state=seed)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer than FOLDS images: kept in training below
        _, chosen = next(iter(folds.split(rows, labels, groups)))
    chosen = _without_last_of_class(chosen, labels, groups)
    if not len(chosen):
        raise too_few
    splits = list(table.splits)
    for position in chosen:
        splits[rows[position]] = VALID
    how = "a fifth of training, stratified" + (" by group" if grouped else "")
    return replace(table, splits=tuple(splits), layout=f"{table.layout}; validation: {how}, seed {seed}")


def parted(table: Table, shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each row of a labelled table, [n], of the names in `shares`, which add up to 1; the first is TRAIN.

    Groups are taken in turn, those of many images first and among these those of uneven classes, each into the split
    that then comes closest to its share of every class: what scikit-learn's StratifiedGroupKFold does for equal shares,
    but for its order, in which a large group of even classes may come last, when nothing is left to make up for it.
    Where every image is a group of its own this is Webster's apportionment, exact to one image of a class. A class that
    would be left without training images gets all of its own there.
    """
    names = list(shares)
    keys = {key: number for number, key in enumerate(dict.fromkeys(_groups(table)))}
    of_row = np.array([keys[key] for key in _groups(table)])
    held = np.zeros((len(keys), len(table.classes)))  # images of each group and class
    np.add.at(held, (of_row, table.labels), 1)
    wanted = np.outer(list(shares.values()), held.sum(axis=0))
    scale = np.maximum(wanted, 1e-9)
    given = np.zeros_like(wanted)
    chosen = np.zeros(len(keys), dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(keys))
    for group in shuffled[np.lexsort((-held[shuffled].std(axis=1), -held[shuffled].sum(axis=1)))]:
        worse = (
            held[group] * (held[group] + 2 * (given - wanted)) / scale
        )  # the change of sum (given - wanted)^2 / wanted
        chosen[group] = worse.sum(axis=1).argmin()
        given[chosen[group]] += held[group]
    for label in np.flatnonzero((given[0] == 0) & (given.sum(axis=0) > 0)):
        chosen[held[:, label] > 0] = 0
    return [names[split] for split in chosen[of_row]]


def _groups(table: Table) -> list[str]:
    """The group of each row; an image without one is its own."""
    return [group or f"\0{row}" for row, group in enumerate(table.groups)]


def _without_last_of_class(chosen: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The chosen positions without the groups of any class that would have none left."""
    left = set(np.delete(labels, chosen))
    bare = [position for position in chosen if labels[position] not in left]
    return np.array([p for p in chosen if groups[p] not in set(groups[bare])], dtype=np.int64)
