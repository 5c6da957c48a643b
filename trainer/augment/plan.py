"""What augmentation does to each sample, computed for many samples at once, so that a training step only applies it."""

from typing import NamedTuple

from torch import Tensor


class Plan(NamedTuple):
    """What follows from the random numbers of n samples; all tensors are on the device of the batches."""

    grids: Tensor | None
    """The window's pixels in the canvas, float32 [n, 3, 2], as `geometry.window_grids` says. None: no geometry."""
    colours: Tensor | None
    """Colour matrices, float32 [n, 6, 6] or [n, 3, 3]; None: no colour steps."""
    erased: tuple[tuple[Tensor, Tensor], ...]
    """For each step the columns, bool [n, W], and rows, bool [n, H], of the rectangle that it covers."""
    mixed: tuple[tuple[Tensor, ...], ...]
    """For each step a sample's share, float32 [n], or the columns and rows of the rectangle that the next one fills."""

    def rows(self, start: int, stop: int) -> "Plan":
        """The plan of the samples from `start` up to but not including `stop`; no data is copied."""
        return Plan(
            None if self.grids is None else self.grids[start:stop],
            None if self.colours is None else self.colours[start:stop],
            tuple((columns[start:stop], rows[start:stop]) for columns, rows in self.erased),
            tuple(tuple(part[start:stop] for part in parts) for parts in self.mixed),
        )
