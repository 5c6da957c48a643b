"""Loss and hits of an epoch, added up on the device and read without making it wait."""

import time

import torch
from torch import Tensor


class Meter:
    """Sums over the images of an epoch.

    A look starts a copy to the host; a later look that finds it finished tells what it held. So the figures lag a few
    steps behind on a GPU, and the queue of work is never drained to show a number.
    """

    def __init__(self, device: torch.device) -> None:
        self.totals = torch.zeros(2, device=device)
        self._asynchronous = device.type == "cuda"
        self._copy = torch.zeros(2, pin_memory=self._asynchronous)
        self._event = torch.cuda.Event() if self._asynchronous else None  # type: ignore[no-untyped-call]
        self._copied = 0
        """Images in the copy that is under way; 0: none is."""
        self._start = time.perf_counter()

    def add(self, loss: Tensor, hits: Tensor, images: int) -> None:
        """The mean loss of a batch, [], and its number of right answers, []."""
        self.totals += torch.stack([loss.detach() * images, hits])

    def look(self, images: int) -> tuple[int, float, float] | None:
        """Images, their mean loss and images per second as of some recent look, if there is something new to tell.

        Args:
            images: how many have been added so far.
        """
        if self._event is None:
            return self._told(images, float(self.totals[0]))
        told = None
        if self._copied and self._event.query():  # type: ignore[no-untyped-call]
            told, self._copied = self._told(self._copied, float(self._copy[0])), 0
        if not self._copied:
            self._copy.copy_(self.totals, non_blocking=True)
            self._event.record()
            self._copied = images
        return told

    def end(self, images: int) -> tuple[int, float, float] | None:
        """All `images` of the epoch, unless a look has told of them; this waits for the device."""
        return self._told(images, float(self.totals[0])) if self._event is not None else None

    def _told(self, images: int, loss: float) -> tuple[int, float, float]:
        return images, loss / images, images / (time.perf_counter() - self._start)
