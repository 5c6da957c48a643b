"""The size limit of the cache of decoded images: the least recently used ones are deleted to make room."""

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from infer.core.errors import ConfigError, OutputError
from infer.core.exclusive import reserved
from infer.core.text import size_text

DEFAULT_GB = 50.0
"""Limit for all data sets together, in 10^9 bytes; LAB_CACHE_GB changes it."""
FRESH = 600.0
"""Seconds after its last change for which a file counts as in use where the file system has no locks."""


def cache_limit() -> int:
    """The limit in bytes. Raises ConfigError where LAB_CACHE_GB is not a number above 0."""
    text = os.environ.get("LAB_CACHE_GB") or str(DEFAULT_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 < gigabytes < math.inf:
        raise ConfigError(f"LAB_CACHE_GB must be a number of GB above 0, got {text!r}")
    return round(gigabytes * 1e9)


def make_room(folder: Path, needed: int) -> None:
    """Delete the least recently used canvases until `needed` bytes fit within the limit.

    Canvases that a process uses are kept; drafts that a killed process left are deleted.

    Raises:
        ConfigError: LAB_CACHE_GB is not a number above 0.
        OutputError: they do not fit, or the disk is too full.
    """
    limit, used = cache_limit(), _used(folder) + reserved(folder)
    for path in _oldest_first(folder):
        is_draft = path.name.startswith(".")
        if (used + needed > limit or is_draft) and not _in_use(path):
            with contextlib.suppress(OSError):  # another process may be deleting too
                used -= path.stat().st_size
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)
    require_within_limit(needed, used)
    if needed > (free := shutil.disk_usage(folder).free):
        raise OutputError(
            f"the decoded images take {size_text(needed)}, and {folder} has {size_text(free)} left; "
            "free some space or set LAB_CACHE to a folder with room"
        )


def require_within_limit(needed: int, used: int = 0) -> None:
    """Raise OutputError where `needed` bytes, together with those in use, exceed the limit."""
    limit = cache_limit()
    if used + needed > limit:
        others = f", those in use {size_text(used)}" if used else ""
        raise OutputError(
            f"the decoded images take {size_text(needed)}{others}, and the cache is limited to {size_text(limit)}; "
            f"set LAB_CACHE_GB to {math.ceil((used + needed) / 1e9)} or more, or train at a smaller --image-size"
        )


def usage_text(folder: Path) -> str:
    """The size of the cache and its limit, for people."""
    return f"{size_text(_used(folder))} of at most {size_text(cache_limit())} in {folder}"


def lock_shared(file: BinaryIO) -> None:
    """Mark an open file as in use until the file and all mappings of it are closed, or the process ends."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # not on Windows, where no one can delete a file in use

        fcntl.flock(file, fcntl.LOCK_SH)


def _in_use(path: Path) -> bool:
    try:
        import fcntl

        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # another process may have created a draft, and not locked it yet; it locks before it writes
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
