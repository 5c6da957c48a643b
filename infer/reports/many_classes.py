"""What tables show of a model with many classes: the worst classes and the most frequent confusions."""

from dataclasses import dataclass

import numpy as np

from infer.metrics.metrics import Metrics

MOST_IN_TABLES = 20
"""With more classes, tables show the worst ones, and the most frequent confusions in place of the whole matrix."""
MOST_CONFUSIONS = 20


@dataclass(frozen=True)
class Confusion:
    """Images of one class that are classified as another."""

    truth: int
    """Index of the true class."""
    predicted: int
    """Index of the predicted class."""
    images: int
    share: float
    """Fraction of the images of the true class."""


def worst_classes(metrics: Metrics, most: int = MOST_IN_TABLES) -> list[int]:
    """Indices of up to `most` classes that occur, lowest F1 first; all classes in their own order if they fit."""
    classes = metrics.per_class
    if len(classes) <= most:
        return list(range(len(classes)))
    scores = {k: score for k, item in enumerate(classes) if item.support and (score := item["f1"].value) is not None}
    return sorted(scores, key=lambda k: scores[k])[:most]


def most_confused(metrics: Metrics, most: int = MOST_CONFUSIONS) -> list[Confusion]:
    """The most frequent confusions of one class with another, most images first."""
    wrong = metrics.confusion.copy()
    np.fill_diagonal(wrong, 0)
    cells = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (divmod(int(cell), len(wrong)) for cell in cells if wrong.flat[cell])
    support = metrics.confusion.sum(axis=1)
    return [Confusion(t, p, int(wrong[t, p]), float(wrong[t, p] / support[t])) for t, p in pairs]


def kinds_of_confusion(metrics: Metrics) -> int:
    """How many pairs of a true and another predicted class have images."""
    wrong = metrics.confusion > 0
    return int(wrong.sum() - np.diagonal(wrong).sum())
