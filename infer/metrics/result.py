"""Predictions joined with truth: what the pipeline and training hand to the metrics and the report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.images.archive import File
from infer.model.card import ClassName, OperatingPoint


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Predictions of n images for K classes, joined with truth."""

    title: str
    """Which images and which model, for people."""
    classes: tuple[ClassName, ...]
    ordered: bool
    """Whether classes are grades."""
    paths: tuple[str, ...]
    """[n] the images' names, for people."""
    truth: NDArray[np.int64]
    """[n] class index."""
    probabilities: Floats
    """[n, K]"""
    temperature: float = 1.0
    """The logits were divided by it."""
    groups: tuple[str, ...] = ()
    """[n] the patient, "" where unknown; empty where all are unknown."""
    files: tuple[File, ...] = ()
    """[n] the images' files; empty where they are unknown."""
    operating_point: OperatingPoint | None = None
    """The model's threshold; None where these probabilities are not those that it was chosen for."""
    notes: tuple[str, ...] = ()
    """Further caveats, for people."""
    run_by: str = ""
    """What ran the model, with its version and the precision in which it computed; "" for a network in training."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """[n] class index of the largest probability."""
        indices: NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return indices

    @property
    def names(self) -> tuple[str, ...]:
        """The names of images, patients and classes."""
        return (*self.paths, *self.groups, *(item.label for item in self.classes))


def unreadable_note(bad: int, images: int) -> tuple[str, ...]:
    """The caveat about images that a result leaves out; none where `bad` is 0."""
    return (f"{bad} of {images} images could not be read and are left out of all numbers",) if bad else ()
