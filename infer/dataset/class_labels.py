"""Labels as text: their order, and the class index of each."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from infer.core.errors import DataError
from infer.core.text import listed
from infer.images.listing import natural_key
from infer.model.card import ClassName, class_index

MISSING = frozenset({"nan", "<na>", "#n/a", "null"})
"""What programs write where a label is missing, and what names no class; in lower case."""
MISSING_AMONG_NUMBERS = frozenset({"na", "n/a", "none", "-"})
"""What also means that where all other labels are numbers."""


def sorted_labels(labels: set[str]) -> list[str]:
    """Sort numbers by value, then all other labels in natural order."""
    return sorted(labels, key=lambda label: (_number(label), natural_key(label)))


def unknown_labels(labels: Sequence[str], classes: Sequence[ClassName]) -> list[str]:
    """Return the labels that are neither the label nor the name of a class, sorted; "(empty)" for an empty one."""
    return sorted({label or "(empty)" for label in labels} - set(class_index(classes)))


def lookalikes(labels: Iterable[str]) -> list[list[str]]:
    """Return the groups of labels that a reader takes for one: they differ only in how they are written.

    That is in upper and lower case, in spaces, underscores and invisible characters, in quotes around them, in the form
    of a number (`1`, `1.0`, `01`), or in Unicode form.
    """
    by_form: dict[str | float, list[str]] = {}
    for label in dict.fromkeys(labels):
        by_form.setdefault(_plain_form(label), []).append(label)
    return [sorted(group) for group in by_form.values() if len(group) > 1]


def describe_lookalikes(groups: Sequence[Sequence[str]]) -> str:
    """Name groups of labels that look alike, each written so that its characters can be told apart."""
    return listed([" and ".join(map(ascii, group)) for group in groups])


def is_text(label: str) -> bool:
    """Whether a label can be written as UTF-8: a table or a folder's name in another encoding gives one that cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in label)


def missing_values(labels: Iterable[str]) -> list[str]:
    """Return the labels with which programs write a missing value, sorted: `NaN`, and `NA` among numbers."""
    others = [label for label in labels if label.lower() not in MISSING | MISSING_AMONG_NUMBERS]
    are_numbers = bool(others) and all(_number(label) < math.inf for label in others)
    words = MISSING | MISSING_AMONG_NUMBERS if are_numbers else MISSING
    return sorted(label for label in labels if label.lower() in words)


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


def _plain_form(label: str) -> str | float:
    """Return what is left of a label without its way of writing: a number, or text."""
    text = "".join(
        char for char in unicodedata.normalize("NFKC", label) if unicodedata.category(char) not in ("Cc", "Cf")
    )
    text = re.sub(r"[\s_]+", "", text.casefold()).strip("\"'`")
    number = _number(text)
    return text if math.isinf(number) else number


def _number(label: str) -> float:
    """Return the label's value; infinity where it is not a finite number."""
    try:
        value = float(label)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) else math.inf
