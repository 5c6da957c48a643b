"""The folder of a command's own in the system's folder for temporary files."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infer.core.drafts import draft_folder, hidden_prefix


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder of this user alone in the system's folder for temporary files; it is deleted at the end.

    What killed processes of this user left there is deleted by the next one that calls this.

    Raises:
        OSError: it cannot be created.
    """
    with draft_folder(_temporary_target(), mode=0o700) as folder:
        yield folder


def is_temporary(path: str | Path) -> bool:
    """Whether a path is that of a folder that `temporary_folder` makes, or below one."""
    target = _temporary_target()
    names = Path(path).parts[len(target.parent.parts) :]
    return Path(path).is_relative_to(target.parent) and bool(names) and names[0].startswith(hidden_prefix(target))


def _temporary_target() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "temporary"
    return Path(tempfile.gettempdir()) / f"lab-{user}"
