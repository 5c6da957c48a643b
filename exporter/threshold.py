"""The threshold of a two-class network: from which probability of the second class on an image counts as positive."""

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
    """The card with the threshold that suits the network's answers to validation images, and a line on it.

    Of several classes there is none, nor where `table`, which the images are of, is not the validation split: a
    threshold that was chosen on test images would flatter itself there.
    """
    if len(card.classes) != 2:
        return card
    if set(table.splits) != {VALID}:
        screen.say("no threshold: the gate's images are no validation split, and on a test set none may be chosen")
        return card
    scores = softmax(reference.logits / card.temperature)[:, 1]
    threshold = choose_threshold(scores, reference.truth)
    if threshold is None:
        screen.say(f"no threshold: on these {len(scores)} images none is better than a guess")
        return card
    group_of = dict(zip(table.files(), table.groups, strict=True))
    groups = {group_of[file] for file in reference.files} - {""}
    point = OperatingPoint(threshold, len(scores), len(groups) or None)
    positive, told = reference.truth == 1, scores.astype(np.float64) >= threshold
    screen.say(
        f"threshold {threshold:.4g} of {card.classes[1]}: sensitivity {told[positive].mean():.2%}, specificity "
        f"{(~told[~positive]).mean():.2%} on the {point} that it was chosen on"
    )
    return replace(card, operating_point=point)


def choose_threshold(scores: Floats, truth: NDArray[np.int64]) -> float | None:
    """The threshold with the largest sensitivity + specificity - 1 (Youden 1950), of scores >= threshold as positive.

    It lies halfway between two neighbouring scores, so that another precision's rounding does not carry images across.
    Of several such thresholds the lowest is taken, which misses fewest. None where one of the two classes has no image,
    or where no threshold is better than a guess.

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
    youden = np.round(sensitivity - false_alarms, 12)  # equal ones must be equal
    best = int(np.argmax(youden))
    if youden[best] <= 0:
        return None
    return float(levels[best] + levels[best - 1]) / 2
