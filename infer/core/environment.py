"""What computes a result: lab, packages, Python and the processor, as runs and predictions record them."""

import functools
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from infer.core.cpu import instructions, processor
from infer.version import __version__, installed_version

Environment = Mapping[str, str]
"""Names that people know, such as `torch` and `threads`, and their values in words."""
ROOT = Path(__file__).parents[2]
"""The repository, or the package of an installed lab."""
GIT_SECONDS = 10


def environment(packages: Sequence[str]) -> dict[str, str]:
    """Lab's version and commit, Python, the packages by their names on PyPI where installed, and the processor."""
    installed = {package: version for package in packages if (version := installed_version(package))}
    return {
        "lab": ", ".join(filter(None, (__version__, _own_commit()))),
        "python": platform.python_version(),
        **installed,
        "processor": processor(),
        "instruction sets": " ".join(instructions()) or "not known",
    }


@functools.cache
def _own_commit() -> str:
    return commit(ROOT)


def commit(root: Path) -> str:
    """The commit of a repository, with `-dirty` after it where files were changed since; "" where there is none."""
    if not (root / ".git").exists():  # otherwise git would look for one in the folders above
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"commit {found.stdout.strip()}"


def differences(before: Environment, now: Environment) -> list[str]:
    """What is not the same in two environments, each as `torch 2.11.0, now 2.14.1`."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [f"{name} {before.get(name, 'not recorded')}, now {now.get(name, 'absent')}" for name in names]
