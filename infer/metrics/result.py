"""Predictions joined with truth: the interface between the pipeline, the gate and all that reports."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.images.archive import File
from infer.model.card import ClassName, OperatingPoint


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Predictions joined with truth; all that a report is made from."""

    title: str
    """What was evaluated on what, for people."""
    classes: tuple[ClassName, ...]
    ordered: bool
    paths: tuple[str, ...]
    """[n] the images, as people know them."""
    truth: NDArray[np.int64]
    """[n] class index."""
    probabilities: Floats
    """[n, K]"""
    temperature: float = 1.0
    """By which the logits were divided."""
    groups: tuple[str, ...] = ()
    """[n] the patient, "" where not known; empty where none is."""
    files: tuple[File, ...] = ()
    """[n] where each image lies; empty where that is not known."""
    operating_point: OperatingPoint | None = None
    """The model's threshold, where these are the probabilities that it was chosen for."""
    notes: tuple[str, ...] = ()
    """What else a reader must know to trust the numbers, for people."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """[n] class index of the largest probability."""
        indices: NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return indices


def unreadable_note(bad: int, images: int) -> tuple[str, ...]:
    """What is to be said of images that a result leaves out."""
    return (f"{bad} of {images} images cannot be read and are left out of all figures",) if bad else ()
