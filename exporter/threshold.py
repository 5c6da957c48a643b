"""The threshold of a two-class network: the probability of the second class from which an image counts as positive."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exporter.reference import Reference
from infer.core.arrays import Floats
from infer.core.console import Screen
from infer.dataset.table import VALID, Table
from infer.metrics.point_values import softmax
from infer.model.card import ModelCard, OperatingPoint


def with_threshold(card: ModelCard, reference: Reference, table: Table, screen: Screen) -> ModelCard:
    """The card with a threshold chosen on the network's outputs for validation images; the choice is printed.

    There is none for more than two classes, and none where the images of `table` are not a validation split: a
    threshold chosen on test images would make the results on them look better than they are.
    """
    if len(card.classes) != 2:
        return card
    if set(table.splits) != {VALID}:
        screen.say("no threshold: the gate's images are not a validation split, and a test set must not choose one")
        return card
    scores = softmax(reference.logits / card.temperature)[:, 1]
    threshold = choose_threshold(scores, reference.truth)
    if threshold is None:
        screen.say(f"no threshold: none is better than a guess on these {len(scores)} images")
        return card
    group_of = dict(zip(table.files(), table.groups, strict=True))
    groups = {group_of[file] for file in reference.files} - {""}
    point = OperatingPoint(threshold, len(scores), len(groups) or None)
    positive, predicted = reference.truth == 1, scores.astype(np.float64) >= threshold
    screen.say(
        f"threshold {threshold:.4g} of {card.classes[1]}: sensitivity {predicted[positive].mean():.2%}, specificity "
        f"{(~predicted[~positive]).mean():.2%} on the {point} that it was chosen on"
    )
    return replace(card, operating_point=point)


def choose_threshold(scores: Floats, truth: NDArray[np.int64]) -> float | None:
    """The threshold with the largest sensitivity + specificity - 1 (Youden 1950); scores >= threshold are positive.

    It lies halfway between two neighbouring scores, so that another precision's rounding moves no image across it. Of
    several such thresholds the lowest is taken, which misses the fewest positives. None where one of the two classes
    has no image, or where no threshold is better than a guess.

    Args:
        scores: [n] probability of the second class.
        truth: [n] class index, 0 or 1.
    """
    positives = truth == 1
    if positives.all() or not positives.any():
        return None
    levels = np.unique(scores.astype(np.float64))
    above = [len(side) - np.searchsorted(np.sort(side), levels) for side in (scores[positives], scores[~positives])]
    sensitivity, false_alarms = above[0] / positives.sum(), above[1] / (~positives).sum()
    youden = np.round(sensitivity - false_alarms, 12)  # equal values must compare equal
    best = int(np.argmax(youden))
    if youden[best] <= 0:
        return None
    return float(levels[best] + levels[best - 1]) / 2
