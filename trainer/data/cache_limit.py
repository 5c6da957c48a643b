"""The room that decoded images take on disk: counted, bounded, and made by deleting what no one uses."""

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from infer.core.errors import ConfigError, OutputError
from infer.core.text import size_text

DEFAULT_GB = 50.0
"""All data sets together take no more disk than this; $LAB_CACHE_GB changes it. GB are 10^9 bytes."""
FRESH = 600.0
"""Seconds since its last change in which a file counts as in use where the disk knows no locks."""


def cache_bound() -> int:
    """The bytes that the cache may take. Raises ConfigError where $LAB_CACHE_GB is no number above 0."""
    text = os.environ.get("LAB_CACHE_GB") or str(DEFAULT_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 < gigabytes < math.inf:
        raise ConfigError(f"LAB_CACHE_GB must be a number of GB above 0, got {text!r}")
    return round(gigabytes * 1e9)


def make_room(folder: Path, needed: int) -> None:
    """Delete canvases, those unused for longest first, until `needed` bytes fit into the bound.

    What any process uses stays; what a killed one left unfinished goes.

    Raises:
        ConfigError: $LAB_CACHE_GB is no number above 0.
        OutputError: they do not fit, or the disk has no room for them.
    """
    bound, used = cache_bound(), _used(folder)
    for path in _oldest_first(folder):
        draft = path.name.startswith(".")
        if (used + needed > bound or draft) and not _in_use(path):
            with contextlib.suppress(OSError):  # another process may be tidying up too
                used -= path.stat().st_size
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)
    require_bound(needed, used)
    if needed > (free := shutil.disk_usage(folder).free):
        raise OutputError(
            f"the decoded images take {size_text(needed)}, and {folder} has {size_text(free)} left; "
            "free some space or set LAB_CACHE to a folder with room"
        )


def require_bound(needed: int, used: int = 0) -> None:
    """Raises OutputError where `needed` bytes do not fit into the bound beside those that are used."""
    bound = cache_bound()
    if used + needed > bound:
        others = f" beside {size_text(used)} in use" if used else ""
        raise OutputError(
            f"the decoded images take {size_text(needed)}{others}, and the cache may hold {size_text(bound)}; "
            f"set LAB_CACHE_GB to {math.ceil((used + needed) / 1e9)} or more, or train at a smaller --image-size"
        )


def usage_text(folder: Path) -> str:
    """What the cache holds and may hold, as one line."""
    return f"{size_text(_used(folder))} of at most {size_text(cache_bound())} in {folder}"


def hold(file: BinaryIO) -> None:
    """Mark an open file as in use until it, and every mapping made of it, is closed or the process ends."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # not on Windows, where no one can delete a file in use

        fcntl.flock(file, fcntl.LOCK_SH)


def _in_use(path: Path) -> bool:
    try:
        import fcntl

        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # a draft is held before its first byte is written
            return os.fstat(file.fileno()).st_size == 0 and _is_fresh(path)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except (ImportError, OSError):
        return _is_fresh(path)


def _is_fresh(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime > time.time() - FRESH
    return False


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*.npy"):  # drafts, which are hidden, as well
        with contextlib.suppress(OSError):
            yield path, path.stat()


def _used(folder: Path) -> int:
    return sum(status.st_size for _, status in _files(folder))


def _oldest_first(folder: Path) -> list[Path]:
    return [path for path, _ in sorted(_files(folder), key=lambda item: item[1].st_mtime)]
