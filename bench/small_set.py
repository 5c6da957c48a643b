"""A data set that is made in small: its folder, its drawn pictures, and what a reader must find in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN, VALID, TEST = "train", "valid", "test"
NONE = ""
"""The label of an image whose class the set does not tell."""


class Folder:
    """A data set that is being made: each picture has a grey value of its own, by which it is known again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.truth: dict[int, tuple[str, str]] = {}
        """By the number of a picture: its label and split."""
        self._pictures = 0

    def image(self, path: str, label: str | None = None, split: str = TRAIN) -> None:
        """Draw a picture with a label (NONE: not known), or one that is not part of the set."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels(label, split)).save(file, quality=95)

    def pixels(self, label: str | None = None, split: str = TRAIN, side: int = 40) -> np.ndarray:
        """Draw the next picture, uint8 [side, side, 3]."""
        number, self._pictures = self._pictures, self._pictures + 1
        if label is not None:
            self.truth[number] = (label, split)
        return np.full((side, side, 3), grey_of(number), dtype=np.uint8)

    def text(self, path: str, *lines: str) -> None:
        """Write a text file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines))

    def classes(self, folder: str, labels: Sequence[str], name: str, each: int = 2, split: str = TRAIN) -> None:
        """Draw pictures in a folder per class; `name` holds {label} and {k}."""
        for label in labels:
            for k in range(each):
                self.image(f"{folder}/{label}/{name.format(label=label, k=k)}".removeprefix("./"), label, split)


def grey_of(number: int) -> int:
    """The grey value of a picture, far enough from its neighbours' to survive JPEG."""
    return 6 + 4 * number


def number_of(grey: float) -> int:
    """The number of a picture by its mean grey value."""
    return round((grey - 6) / 4)


@dataclass(frozen=True)
class PublicSet:
    """One data set, and how it is named to lab."""

    name: str
    make: Callable[[Folder], None]
    data: str = "."
    """The folder or file that is named, below the folder that was downloaded."""
    options: tuple[str, ...] = ()
    """`--labels FILE` and the like; paths are below the folder that was downloaded."""
    note: str = ""
