"""What an epoch reports while it runs, and when it is finished."""

from collections.abc import Callable
from dataclasses import dataclass

from infer.core.arrays import Floats

OnStep = Callable[[int, float, float], None]
"""Called now and then during an epoch with the images so far, their mean loss, and images per second."""


@dataclass(frozen=True)
class EpochResult:
    """The figures of one epoch."""

    number: int
    """Counted from 1."""
    learning_rate: float
    """At the start of the epoch."""
    train_loss: float
    train_accuracy: float
    """On augmented images, measured while the network was learning. For a mixed image, its own label counts."""
    valid_loss: float
    probabilities: Floats
    """float32 [validation images, K]."""
    seconds: float
    images_per_second: float
    """Training speed, without validation."""
