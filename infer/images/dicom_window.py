"""From the values that a DICOM file stores to grey levels: rescaling, windows and lookup tables.

A header is a pydicom Dataset. Section numbers are those of DICOM PS3.3.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.images.window_option import FILE, parse_window

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]
Shares = Callable[[Floats], Floats]
"""From rescaled values to grey levels between 0 (black) and 1 (white)."""


def to_levels(stored: Floats, header: Any, window: str) -> Levels:
    """Turn stored values into 8-bit levels, not yet inverted for MONOCHROME1.

    Args:
        stored: as decoded, of any shape.
        header: of their file.
        window: as `parse_window` reads it.

    Raises:
        ValueError: the values are floating-point numbers and no window says which of them are black and white.
    """
    values, ends = _rescaled(stored, header)
    if fixed := parse_window(window):
        shares: Shares | None = _window(LINEAR, *fixed)
    else:
        shares = file_window(header) if window == FILE else None
    if shares is None:
        if ends is None:
            raise ValueError("floating-point values have no known range; train with --dicom-window CENTRE/WIDTH")
        shares = _between(*ends)
    levels: Levels = np.floor(np.clip(shares(values), 0, 1) * 255 + 0.5).astype(np.uint8)
    return levels


def file_window(header: Any) -> Shares | None:
    """The file's first VOI lookup table or, without any, its first window; None where it has no valid one (C.11.2)."""
    source = _holder(header, "FrameVOILUTSequence", "WindowCenter")
    tables = source.get("VOILUTSequence")
    if tables and tables[0].get("LUTDescriptor") and tables[0].get("LUTData"):
        table, highest = _lookup_table(tables[0])
        return lambda values: table(values) / highest
    centre, width = _number(source.get("WindowCenter")), _number(source.get("WindowWidth"))
    kind = str(source.get("VOILUTFunction") or LINEAR).upper()
    least = 1 if kind == LINEAR else math.ulp(0)
    if centre is None or width is None or width < least or kind not in (LINEAR, LINEAR_EXACT, SIGMOID):
        return None
    return _window(kind, centre, width)


def _window(kind: str, centre: float, width: float) -> Shares:
    """A window of C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID) or C.11.2.1.3.2 (LINEAR_EXACT)."""
    if kind == SIGMOID:
        return lambda values: 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if kind == LINEAR:
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return lambda values: (values > centre).astype(np.float64)
    return _between(centre - width / 2, centre + width / 2)


def _between(low: float, high: float) -> Shares:
    return lambda values: (values - low) / (high - low)


def _rescaled(stored: Floats, header: Any) -> tuple[Floats, tuple[float, float] | None]:
    """Values in the units of the modality, and the ends of their range; None where it is not known (C.11.1)."""
    if tables := header.get("ModalityLUTSequence"):
        table, highest = _lookup_table(tables[0])
        return table(stored), (0, highest)
    source = _holder(header, "PixelValueTransformationSequence", "RescaleSlope")
    slope, intercept = _number(source.get("RescaleSlope")), _number(source.get("RescaleIntercept"))
    if slope is None or intercept is None:
        slope, intercept = 1, 0
    if slope == 0:
        raise ValueError("a rescale slope of 0 makes all values the same")
    bits = header.get("BitsStored")
    if bits is None:  # floating-point numbers
        return stored * slope + intercept, None
    low = -(2 ** (bits - 1)) if header.get("PixelRepresentation") else 0
    ends = sorted((low * slope + intercept, (low + 2**bits - 1) * slope + intercept))
    return stored * slope + intercept, (ends[0], ends[1])


def _lookup_table(item: Any) -> tuple[Callable[[Floats], Floats], int]:
    """A lookup table, whose ends hold for all values beyond them, and its highest possible value (C.11.1.1)."""
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    count = count or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "u1" if len(data) < 2 * count else "<u2")
    entries = np.atleast_1d(np.asarray(data, dtype=np.float64))[:count]
    highest = 2**bits - 1
    return lambda values: entries[np.clip(values - first, 0, len(entries) - 1).astype(np.int64)], highest


def _holder(header: Any, sequence: str, keyword: str) -> Any:
    """The data set that holds a value of the first frame: the header or, in enhanced files, a functional group."""
    if keyword in header:
        return header
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        if (items := header.get(groups)) and (parts := items[0].get(sequence)):
            return parts[0]
    return header


def _number(value: Any) -> float | None:
    """A value, or the first of several; None where there is none, or it is not finite."""
    if value is None or value == "":
        return None
    if not isinstance(value, int | float):
        if not len(value):
            return None
        value = value[0]
    number = float(value)
    return number if math.isfinite(number) else None
