"""Labels as text: their order, and the class index of each."""

import math
from collections.abc import Sequence

from infer.core.errors import DataError
from infer.core.text import listed
from infer.images.listing import natural_key
from infer.model.card import ClassName, class_index


def sorted_labels(labels: set[str]) -> list[str]:
    """Sort numbers by value, then all other labels in natural order."""
    return sorted(labels, key=lambda label: (_number(label), natural_key(label)))


def unknown_labels(labels: Sequence[str], classes: Sequence[ClassName]) -> list[str]:
    """Return the labels that are neither the label nor the name of a class, sorted; "(empty)" for an empty one."""
    return sorted({label or "(empty)" for label in labels} - set(class_index(classes)))


def to_indices(labels: Sequence[str], classes: Sequence[ClassName], source: str) -> list[int]:
    """Convert labels or class names to class indices.

    Raises:
        DataError: the model has no class of that label or name; `source` is named as where it stands.
    """
    if unknown := unknown_labels(labels, classes):
        own = listed([str(item) for item in classes])
        raise DataError(f"{source} has the labels {listed(unknown)}, but the model has {own}; use the model's labels")
    known = class_index(classes)
    return [known[label] for label in labels]


def _number(label: str) -> float:
    """Return the label's value; infinity where it is not a finite number."""
    try:
        value = float(label)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) else math.inf
