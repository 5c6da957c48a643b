"""The windows of DICOM files that an option may name; loads nothing, as `lab --help` reads it."""

import re

FILE, FULL = "file", "full"
"""Windows: that of each file, where it has one; and all values that its stored bits can hold."""
FIXED = re.compile(r"(-?\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)")
"""Centre and width of a window, in rescaled values: `40/400`."""


def parse_window(text: str) -> tuple[float, float] | None:
    """Centre and width of a fixed window; None for FILE and FULL. Raises ValueError for any other text."""
    if text in (FILE, FULL):
        return None
    match = FIXED.fullmatch(text)
    if not match or float(match[2]) < 1:
        raise ValueError(f"a DICOM window must be {FILE}, {FULL} or CENTRE/WIDTH with a width from 1, got {text!r}")
    return float(match[1]), float(match[2])
