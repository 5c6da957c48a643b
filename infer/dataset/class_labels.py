"""Labels as text, and the classes that they mean."""

import math
from collections.abc import Sequence

from infer.core.errors import DataError
from infer.core.text import listed
from infer.images.listing import natural_key
from infer.model.card import ClassName, class_index


def sorted_labels(labels: set[str]) -> list[str]:
    """Numbers by value, then everything else in natural order."""
    return sorted(labels, key=lambda label: (_number(label), natural_key(label)))


def unknown_labels(labels: Sequence[str], classes: Sequence[ClassName]) -> list[str]:
    """The labels that are no class's label or name, for people."""
    return sorted({label or "(empty)" for label in labels} - set(class_index(classes)))


def to_indices(labels: Sequence[str], classes: Sequence[ClassName], source: str) -> list[int]:
    """Labels or class names as text to class indices. Raises DataError for one that the model does not know."""
    if strange := unknown_labels(labels, classes):
        have = listed([str(item) for item in classes])
        raise DataError(f"{source} has the labels {listed(strange)}, the model knows {have}; use the model's labels")
    known = class_index(classes)
    return [known[label] for label in labels]


def _number(label: str) -> float:
    """The label's value; infinity where it is no finite number."""
    try:
        value = float(label)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) else math.inf
