"""Near duplicates: the likeness of two pictures in any orientation, and the pairs of many that are nearly the same.

A picture is reduced to 32 x 32 grey levels. Its signature is the low-frequency part of their discrete cosine transform,
each coefficient multiplied by its frequency, scaled to length 1. The likeness of two pictures is the scalar product of
their signatures, 1 for the same picture. Leaving out the mean removes brightness, and the scaling removes contrast.
Coefficients are weighted by frequency because what all pictures of a kind share is coarse, such as the bright disc of
fundus photographs.

A mirror image or a quarter turn only changes signs of coefficients and swaps rows with columns. The absolute values,
with each pair (u, v), (v, u) sorted by size, are therefore the same for all eight orientations of a picture; and as
neither step can increase the distance of two pictures, their scalar product is an upper bound of the likeness. One
matrix product of them finds all pairs that need an exact comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Width and height, in pixels, to which a picture is reduced."""
SIGNATURE = 16
"""Coefficients kept in each direction."""
BLOCK = 2048
"""Rows and columns of one block of the matrix of pairs."""
CHECKED = 20_000
"""Pairs compared exactly at once."""
MOST_PAIRS = 100_000
"""Number of near duplicates at which the search stops."""
CLOSEST = 12
"""Number of pairs below the limit that are reported too, so that people can look at them."""
PROMISING = 0.88
"""Least upper bound of the likeness of such a pair."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, the most similar first."""

    indices: NDArray[np.int64]
    """[m, 2] indices of the two pictures, the lower one first."""
    likeness: Floats
    """[m]"""

    def best(self, count: int) -> "Pairs":
        """Return the `count` most similar pairs."""
        return Pairs(self.indices[:count], self.likeness[:count])


def signature(grey: NDArray[np.uint8]) -> Floats:
    """Compute a picture's signature, [16, 16] of length 1, from [32, 32] grey levels; zeros for a uniform picture."""
    steps = np.arange(SIDE)
    cosines = np.cos(np.pi * (2 * steps + 1) * steps[:SIGNATURE, None] / (2 * SIDE))
    weighted = (cosines @ grey @ cosines.T) * np.hypot(steps[:SIGNATURE, None], steps[:SIGNATURE])
    length = np.linalg.norm(weighted)
    return np.asarray(weighted / length if length > 1e-6 else np.zeros_like(weighted), dtype=np.float32)


def likeness(first: Floats, second: Floats) -> Floats:
    """Compute the likeness of signatures [m, 16, 16] to others, pair by pair: the best of eight orientations, [m]."""
    by_parity = (-1, SIGNATURE // 2, 2, SIGNATURE // 2, 2)
    best = np.full(len(first), -1, dtype=np.float32)
    for turned in (second, second.transpose(0, 2, 1)):  # a mirror image changes the sign of every second row or column
        sums = np.einsum("mrpcq,mrpcq->mpq", first.reshape(by_parity), turned.reshape(by_parity))
        for row in (1, -1):
            for column in (1, -1):
                total = sums[:, 0, 0] + row * sums[:, 1, 0] + column * sums[:, 0, 1] + row * column * sums[:, 1, 1]
                np.maximum(best, total, out=best)
    return best


def near_pairs(
    signatures: Floats, limit: float, on_progress: Callable[[int], None] = lambda compared: None
) -> tuple[Pairs, Pairs]:
    """Find the pairs with a likeness of at least `limit`, and the CLOSEST of the others that are PROMISING.

    The search stops early, and is incomplete, after more than MOST_PAIRS pairs. Time grows with the square of n, memory
    with n.

    Args:
        signatures: [n, 16, 16].
        limit: the least likeness of a near duplicate.
        on_progress: called with the number of pictures that have been compared with all later ones.
    """
    search = _Search(signatures, limit)
    bound = _upper_bounds(signatures)
    for top in range(0, len(bound), BLOCK):
        for left in range(top, len(bound), BLOCK):
            scores = bound[top : top + BLOCK] @ bound[left : left + BLOCK].T
            if left == top:
                scores[np.tril_indices(len(scores))] = -1
            search.compare(scores, top, left)
            if len(search.near.likeness) > MOST_PAIRS:
                return search.near, search.below
        on_progress(min(top + BLOCK, len(bound)))
    return search.near, search.below


class _Search:
    """The pairs that have been found so far."""

    def __init__(self, signatures: Floats, limit: float) -> None:
        self.signatures, self.limit = signatures, limit
        self.near = self.below = Pairs(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))

    def compare(self, bounds: Floats, top: int, left: int) -> None:
        """Compare the pairs of a block, [rows, columns] from `top` and `left`, whose upper bounds reach the cutoff."""
        rows, columns = np.nonzero(bounds >= self._cutoff())
        order = np.argsort(-bounds[rows, columns], kind="stable")  # the best first, as they raise the cutoff
        rows, columns = rows[order], columns[order]
        for start in range(0, len(rows), CHECKED):
            row, column = rows[start : start + CHECKED], columns[start : start + CHECKED]
            still = bounds[row, column] >= self._cutoff()
            indices = np.stack([row[still] + top, column[still] + left], axis=1)
            values = likeness(self.signatures[indices[:, 0]], self.signatures[indices[:, 1]])
            is_near = values >= self.limit
            self.near = _merge(self.near, Pairs(indices[is_near], values[is_near]))
            self.below = _merge(self.below, Pairs(indices[~is_near], values[~is_near])).best(CLOSEST)
            if len(self.near.likeness) > MOST_PAIRS or not still.all():
                return

    def _cutoff(self) -> float:
        """Return the bound below which a pair is neither near nor among the closest, with room for rounding."""
        lowest = float(self.below.likeness[-1]) if len(self.below.likeness) == CLOSEST else PROMISING
        return min(self.limit, max(lowest, PROMISING)) - 1e-5


def _merge(first: Pairs, second: Pairs) -> Pairs:
    """Merge pairs, the most similar first."""
    values = np.concatenate([first.likeness, second.likeness])
    order = np.argsort(-values, kind="stable")
    return Pairs(np.concatenate([first.indices, second.indices])[order], values[order])


def _upper_bounds(signatures: Floats) -> Floats:
    """Convert signatures [n, 16, 16] to vectors [n, 256] whose scalar products are upper bounds of the likeness."""
    size = np.abs(signatures)
    larger, smaller = np.maximum(size, size.transpose(0, 2, 1)), np.minimum(size, size.transpose(0, 2, 1))
    return np.asarray((np.triu(larger) + np.tril(smaller, -1)).reshape(-1, SIGNATURE**2))
