"""A validation split where the data set has none: stratified, by patient where patients are known, by seed."""

from dataclasses import replace

import numpy as np

from infer.errors import DataError
from infer.table import TRAIN, VALID, Table

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


def _without_last_of_class(chosen: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The chosen positions without the groups of any class that would have none left."""
    left = set(np.delete(labels, chosen))
    bare = [position for position in chosen if labels[position] not in left]
    return np.array([p for p in chosen if groups[p] not in set(groups[bare])], dtype=np.int64)
