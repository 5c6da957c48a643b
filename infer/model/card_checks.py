"""Checks of the values in a card, which may be a stranger's: what reads the card later relies on their types."""

from collections.abc import Mapping, Sequence
from typing import Any

from infer.core.parse import is_whole

LARGEST = 1e30
"""Largest magnitude of a number in a card; a float32 holds it."""
OBJECTS = ("data", "versions", "validation", "temperature_fit", "exported_with", "int8")
"""Entries of a provenance that are JSON objects, where there are any."""


def is_number(value: object) -> bool:
    """Whether a value is a finite number of a size that float32 holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def check_text(name: str, *values: object) -> None:
    """Raise ValueError unless all values are text; `name` says what they are."""
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} must be text, got {values}")


def check_matrix(name: str, rows: Sequence[Sequence[object]], columns: int) -> None:
    """Raise ValueError unless every row has so many numbers."""
    if not all(len(row) == columns and all(map(is_number, row)) for row in rows):
        raise ValueError(f"{name} must have {columns} numbers in a row, got {rows}")


def check_provenance(provenance: Mapping[str, Any]) -> None:
    """Raise ValueError unless the entries that lab uses have the types that it wrote."""
    entries = [provenance.get(name, {}) for name in OBJECTS] if isinstance(provenance, Mapping) else [None]
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"a card's provenance, and {', '.join(OBJECTS)} in it, must be JSON objects")
    counts = provenance.get("data", {}).get("train") or []
    if not isinstance(counts, list | tuple) or not all(is_whole(count) and count >= 0 for count in counts):
        raise ValueError(f"a card's numbers of training images must be a list of whole numbers, got {counts}")
    if not is_number(bits := provenance.get("int8", {}).get("weight_bits", 8)):
        raise ValueError(f"a card's bits of the weights must be a number, got {bits}")
    if not is_number(accuracy := provenance.get("validation", {}).get("accuracy", 0)):
        raise ValueError(f"a card's validation accuracy must be a number, got {accuracy}")
