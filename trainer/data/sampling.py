"""The order of an epoch's training images, which depends on nothing but the seed and the epoch."""

import numpy as np
from numpy.typing import NDArray

from trainer.choices import Sampling

Rows = NDArray[np.int64]


def epoch_order(rows: Rows, labels: NDArray[np.int64], sampling: Sampling, seed: int, epoch: int) -> Rows:
    """The rows of an epoch's images in order, as many as there are training images, [n].

    Args:
        rows: the training images' rows in the table, [n].
        labels: their classes, [n].
        sampling: `shuffle`, every image once; `balanced`, the same number of every class, to within one image: a class
            with too few images repeats them, each the same number of times, to within one.
        seed: of the run.
        epoch: counted from 1.
    """
    random = np.random.default_rng([seed, epoch])
    if sampling == "shuffle":
        return random.permutation(rows)
    classes = random.permutation(np.unique(labels))  # where n does not divide, the first ones have one image more
    quotas = [len(rows) // len(classes) + (index < len(rows) % len(classes)) for index in range(len(classes))]
    parts = [_repeated(rows[labels == label], quota, random) for label, quota in zip(classes, quotas, strict=True)]
    return random.permutation(np.concatenate(parts))


def _repeated(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    passes = [random.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(passes)[:count]
