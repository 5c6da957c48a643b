"""Command lines of the documentation."""

import shlex
from pathlib import Path

SMALLER = {"--epochs": "1", "--batch-size": "8", "--image-size": "32"}
"""Values of the documentation that tests replace by smaller ones."""


def lab_arguments(line: str) -> list[str]:
    """The arguments that a shell passes to lab, patterns of runs expanded, with the SMALLER values."""
    program, *words = shlex.split(line)
    assert program == "lab"
    arguments: list[str] = []
    for option, word in zip(["", *words], words, strict=False):
        arguments += sorted(map(str, Path().glob(word))) if "runs/*" in word else [SMALLER.get(option, word)]
    return arguments
