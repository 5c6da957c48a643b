"""Which images an epoch trains on, and in which order: from the seed and the epoch alone."""

import numpy as np
from numpy.typing import NDArray

from trainer.config import Sampling

Rows = NDArray[np.int64]


def epoch_order(rows: Rows, labels: NDArray[np.int64], sampling: Sampling, seed: int, epoch: int) -> Rows:
    """The rows of an epoch's images, as many as there are training images, [n].

    `shuffle`: every image once. `balanced`: every class as often as any other, to within one image; a class of too few
    images repeats them, each as often as any other of its class, to within one.

    `rows` are the training images' rows in the table, [n], and `labels` their classes, [n].
    """
    random = np.random.default_rng([seed, epoch])
    if sampling == "shuffle":
        return random.permutation(rows)
    classes = random.permutation(np.unique(labels))  # whichever comes first has one image more where n does not divide
    quotas = [len(rows) // len(classes) + (place < len(rows) % len(classes)) for place in range(len(classes))]
    parts = [_repeated(rows[labels == label], quota, random) for label, quota in zip(classes, quotas, strict=True)]
    return random.permutation(np.concatenate(parts))


def _repeated(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    passes = [random.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(passes)[:count]
