"""Caveats: what a reader must know to trust the numbers of a report, in plain words."""

import numpy as np

from infer.core.text import listed, shown
from infer.metrics.result import EvaluationResult

FEW_GROUPS = 30
FEW_EVENTS = 10


def caveats(result: EvaluationResult) -> list[str]:
    """A sentence for each reason to trust the metrics of a result, or their intervals, less."""
    return [*group_caveats(result), *_class_caveats(result), *_error_caveats(result)]


def group_caveats(result: EvaluationResult) -> list[str]:
    """A sentence for each reason to trust intervals less that has to do with patients."""
    known = {group for group in result.groups if group}
    if not known:
        return [
            "patients are unknown, so images count as independent; if some come from the same patient, the intervals "
            "are too narrow"
        ]
    notes = []
    if len(known) < FEW_GROUPS:
        notes.append(
            f"only {len(known)} patients: below {FEW_GROUPS} the intervals are rough, possibly too narrow, and say "
            "little about other patients"
        )
    if unknown := sum(not group for group in result.groups):
        notes.append(f"the patients of {unknown} of {len(result.truth)} images are unknown; each counts as a patient")
    return notes


def _class_caveats(result: EvaluationResult) -> list[str]:
    counts = np.bincount(result.truth, minlength=len(result.classes))
    names = [shown(str(item)) for item in result.classes]
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    few = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if 0 < count < FEW_EVENTS]
    notes = []
    if absent:
        notes.append(f"no images of {listed(absent)}: metrics that need some are undefined, and averages skip them")
    if few:
        notes.append(
            f"fewer than {FEW_EVENTS} images of {listed(few)}: the intervals of metrics that rest on them are rough"
        )
    return notes


def _error_caveats(result: EvaluationResult) -> list[str]:
    wrong = int((result.predicted != result.truth).sum())
    if wrong >= FEW_EVENTS:
        return []
    return [
        f"only {wrong} of {len(result.truth)} images are misclassified: below {FEW_EVENTS} errors, the intervals of "
        "log loss, Brier score and calibration error are rough"
    ]
