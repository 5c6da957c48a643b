"""Running loss and accuracy of an epoch, summed on the device and read without blocking it."""

import time

import torch
from torch import Tensor

Figures = tuple[int, float, float]
"""Images so far, their mean loss, and images per second."""


class Meter:
    """Sums over the images of an epoch.

    On a GPU a reading starts a copy to the host, and a later reading returns what the finished copy holds. So figures
    lag a few steps behind, but the queue of work is never drained to show a number.

    Attributes: totals (Tensor), the sums of losses and of correct predictions, float32 [2] on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.totals = torch.zeros(2, device=device)
        self._asynchronous = device.type == "cuda"
        self._copy = torch.zeros(2, pin_memory=self._asynchronous)
        self._event = torch.cuda.Event() if self._asynchronous else None  # type: ignore[no-untyped-call]
        self._copied = 0
        """Images in the copy under way; 0: there is none."""
        self._start = time.perf_counter()

    def add(self, loss: Tensor, correct: Tensor, images: int) -> None:
        """Add a batch: its mean loss, [], and its number of correct predictions, []."""
        self.totals += torch.stack([loss.detach() * images, correct])

    def read(self, images: int) -> Figures | None:
        """The figures at some recent reading; None if there is nothing new.

        Args:
            images: number of images added so far.
        """
        if self._event is None:
            return self._figures(images, float(self.totals[0]))
        figures = None
        if self._copied and self._event.query():  # type: ignore[no-untyped-call]
            figures, self._copied = self._figures(self._copied, float(self._copy[0])), 0
        if not self._copied:
            self._copy.copy_(self.totals, non_blocking=True)
            self._event.record()
            self._copied = images
        return figures

    def read_final(self, images: int) -> Figures | None:
        """The figures of all `images` of the epoch, waiting for the device; None where `read` returned them."""
        return self._figures(images, float(self.totals[0])) if self._event is not None else None

    def _figures(self, images: int, loss: float) -> Figures:
        return images, loss / images, images / (time.perf_counter() - self._start)
