"""Text for messages: shortened lists, visible control characters, durations, sizes."""

import math
from collections.abc import Sequence


def listed(names: Sequence[str], limit: int = 5) -> str:
    """The first `limit` names and the number of the others: `a, b, c and 7 more`."""
    first = ", ".join(names[:limit])
    return f"{first} and {len(names) - limit} more" if len(names) > limit else first


def joined(names: Sequence[str], conjunction: str) -> str:
    """Names with a conjunction before the last: `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def counted(count: int, one: str, many: str = "") -> str:
    """A number with what it counts: `1 epoch`, `2 epochs`; `many` where the plural is not made with an s alone."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def left_out(count: int) -> str:
    """That so many images are unreadable: `1 image cannot be read and is left out`."""
    return counted(count, "image cannot be read and is left out", "images cannot be read and are left out")


def shown(text: str) -> str:
    """The text with line breaks, control characters and undecodable bytes as escapes, on one line."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in safe)


def shortened(text: str, limit: int = 12_000) -> str:
    """The text, or its start and its end with the number of characters between them, where it is longer than `limit`.

    A path of 4,096 bytes stays whole, and so does the remedy at the end of an error.
    """
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]} ... {len(text) - limit:,} more characters ... {text[-limit // 2 :]}"


def duration(seconds: float) -> str:
    """Seconds as 45 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size_text(count: int) -> str:
    """Bytes as 3 kB, 410 MB, 1.5 GB or 50 GB."""
    if count < 1e6:
        return f"{math.ceil(count / 1e3)} kB"
    return f"{math.ceil(count / 1e6)} MB" if count < 1e9 else f"{count / 1e9:.1f}".removesuffix(".0") + " GB"
