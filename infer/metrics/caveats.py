"""What a reader must know to trust the numbers of a report, in plain words."""

import numpy as np

from infer.core.text import listed, shown
from infer.metrics.result import EvaluationResult

FEW_GROUPS = 30
FEW_EVENTS = 10


def cautions(result: EvaluationResult) -> list[str]:
    """A line for everything that makes the metrics of a result, or their intervals, less than they seem."""
    return [*about_groups(result), *_about_classes(result), *_about_errors(result)]


def about_groups(result: EvaluationResult) -> list[str]:
    """A line for everything that makes intervals less than they seem for want of patients."""
    known = {group for group in result.groups if group}
    if not known:
        return [
            "no patients are known, so every image counts as independent; if several come from one patient, the "
            "intervals are too narrow"
        ]
    notes = []
    if len(known) < FEW_GROUPS:
        notes.append(
            f"{len(known)} patients, and below {FEW_GROUPS} the intervals are rough: they may be too narrow, and say "
            "little about other patients"
        )
    if unknown := sum(not group for group in result.groups):
        notes.append(f"{unknown} of {len(result.truth)} images have no patient; each of them counts as a patient")
    return notes


def _about_classes(result: EvaluationResult) -> list[str]:
    counts = np.bincount(result.truth, minlength=len(result.classes))
    names = [shown(str(item)) for item in result.classes]
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    few = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if 0 < count < FEW_EVENTS]
    notes = []
    if absent:
        notes.append(f"no image is of {listed(absent)}: what needs one is not given, and averages leave it out")
    if few:
        notes.append(
            f"fewer than {FEW_EVENTS} images of {listed(few)}: the intervals of what depends on them are rough"
        )
    return notes


def _about_errors(result: EvaluationResult) -> list[str]:
    wrong = int((result.predicted != result.truth).sum())
    if wrong >= FEW_EVENTS:
        return []
    return [
        f"{wrong} of {len(result.truth)} images are classified wrong: with fewer than {FEW_EVENTS} errors the "
        "intervals of log loss, Brier score and calibration error are rough"
    ]
