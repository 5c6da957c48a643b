"""Errors of the operating system as one line with the remedy."""

import errno
import os

from infer.core.temporary import is_temporary

REMEDIES = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space of your quota",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "give a path on a disk that can be written",
    errno.EIO: "check its disk, and try again",
    errno.EMFILE: "let the process open more files (ulimit -n)",
}
SHOWN = 60
"""Characters that are shown of each end of a path that is too long."""


def system_error(error: OSError) -> str:
    """What is wrong, with which path, and the remedy."""
    what = error.strerror or str(error)
    if error.errno == errno.ENAMETOOLONG and error.filename is not None:
        return f"{what}: {_too_long(os.fsdecode(error.filename))}; use shorter names, or a folder nearer to the root"
    path = error.filename or "the standard output"
    elsewhere = ", or name another folder in TMPDIR" if is_temporary(os.fsdecode(path)) else ""
    return f"{what}: {path}; {REMEDIES.get(error.errno or 0, 'check the path')}{elsewhere}"


def _too_long(path: str) -> str:
    """A path in short, its longest name, and what this system takes."""
    longest = max(len(os.fsencode(name)) for name in path.split(os.sep))
    limits = "fewer"
    if hasattr(os, "pathconf"):
        limits = f"up to {os.pathconf('/', 'PC_PATH_MAX') - 1} and {os.pathconf('/', 'PC_NAME_MAX')}"
    short = path if len(path) <= 2 * SHOWN else f"{path[:SHOWN]}...{path[-SHOWN:]}"
    size = len(os.fsencode(path))
    return f"{short} has {size} bytes, its longest name {longest}, and this system takes {limits}"
