"""How alike two pictures are, whatever way up, and which of many are nearly the same.

A picture is reduced to 32 x 32 grey levels. Its signature is the low-frequency part of their discrete cosine transform,
each coefficient times its frequency, of length 1; the likeness of two is their scalar product, 1 for the same picture.
The mean, and so brightness, is left out, and the length, and so contrast. The frequencies are weighed because what all
pictures of a kind have in common, such as the bright disc of every fundus photograph, is coarse.

A mirror image or a quarter turn only changes signs of coefficients and exchanges those of rows and columns. Absolute
values, each pair (u, v), (v, u) in order of size, are therefore the same for all eight ways of holding a picture; and
as neither step takes two pictures further apart, the scalar product of these is never less than the likeness. One
matrix product of them finds all pairs worth a closer look.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 32
SIGNATURE = 16
"""Coefficients a side."""
BLOCK = 2048
"""Pictures compared with as many others at once."""
CHECKED = 20_000
"""Pairs looked at closely at once."""
MOST_PAIRS = 100_000
"""Where more pairs are nearly the same, these are told and the search ends."""
CLOSEST = 12
"""Pairs below the limit that are told all the same, for people to look at ..."""
PROMISING = 0.88
"""... if the bound of their likeness is at least this."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, the most alike first."""

    places: NDArray[np.int64]
    """[m, 2], the lower number first."""
    likeness: Floats
    """[m]"""

    def best(self, count: int) -> "Pairs":
        """The `count` most alike."""
        return Pairs(self.places[:count], self.likeness[:count])


def signature(grey: NDArray[np.uint8]) -> Floats:
    """[32, 32] grey levels -> [16, 16], of length 1; zeros where nothing stands out."""
    steps = np.arange(SIDE)
    cosines = np.cos(np.pi * (2 * steps + 1) * steps[:SIGNATURE, None] / (2 * SIDE))
    weighted = (cosines @ grey @ cosines.T) * np.hypot(steps[:SIGNATURE, None], steps[:SIGNATURE])
    length = np.linalg.norm(weighted)
    return np.asarray(weighted / length if length > 1e-6 else np.zeros_like(weighted), dtype=np.float32)


def likeness(first: Floats, second: Floats) -> Floats:
    """Of signatures [m, 16, 16] and [m, 16, 16], row by row, over all eight ways of holding the second: [m]."""
    by_parity = (-1, SIGNATURE // 2, 2, SIGNATURE // 2, 2)
    best = np.full(len(first), -1, dtype=np.float32)
    for held in (second, second.transpose(0, 2, 1)):  # a mirror image changes the sign of every second row or column
        parts = np.einsum("mrpcq,mrpcq->mpq", first.reshape(by_parity), held.reshape(by_parity))
        for row in (1, -1):
            for column in (1, -1):
                whole = parts[:, 0, 0] + row * parts[:, 1, 0] + column * parts[:, 0, 1] + row * column * parts[:, 1, 1]
                np.maximum(best, whole, out=best)
    return best


def near_pairs(
    signatures: Floats, limit: float, on_done: Callable[[int], None] = lambda done: None
) -> tuple[Pairs, Pairs]:
    """Of pictures [n, 16, 16], the pairs at least `limit` alike, and the CLOSEST of the others that are PROMISING.

    Where there are more than MOST_PAIRS of the first, the search ends and some are not found. The time grows with the
    square of n, the memory with n. `on_done` is told how many pictures have been compared with all that follow.
    """
    search = _Search(signatures, limit)
    bound = _upper_bounds(signatures)
    for top in range(0, len(bound), BLOCK):
        for left in range(top, len(bound), BLOCK):
            scores = bound[top : top + BLOCK] @ bound[left : left + BLOCK].T
            if left == top:
                scores[np.tril_indices(len(scores))] = -1
            search.look(scores, top, left)
            if len(search.near.likeness) > MOST_PAIRS:
                return search.near, search.below
        on_done(min(top + BLOCK, len(bound)))
    return search.near, search.below


class _Search:
    """What has been found so far."""

    def __init__(self, signatures: Floats, limit: float) -> None:
        self.signatures, self.limit = signatures, limit
        self.near = self.below = Pairs(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))

    def look(self, bounds: Floats, top: int, left: int) -> None:
        """Look closely at the pairs of a block, [rows, columns] from `top` and `left`, that may be of interest."""
        rows, columns = np.nonzero(bounds >= self._cutoff())
        order = np.argsort(-bounds[rows, columns], kind="stable")  # the best first, as they raise the cutoff
        rows, columns = rows[order], columns[order]
        for start in range(0, len(rows), CHECKED):
            row, column = rows[start : start + CHECKED], columns[start : start + CHECKED]
            still = bounds[row, column] >= self._cutoff()
            places = np.stack([row[still] + top, column[still] + left], axis=1)
            alike = likeness(self.signatures[places[:, 0]], self.signatures[places[:, 1]])
            is_near = alike >= self.limit
            self.near = _joined(self.near, Pairs(places[is_near], alike[is_near]))
            self.below = _joined(self.below, Pairs(places[~is_near], alike[~is_near])).best(CLOSEST)
            if len(self.near.likeness) > MOST_PAIRS or not still.all():
                return

    def _cutoff(self) -> float:
        """A pair whose bound is below this is neither near nor among the closest; with room for rounding."""
        known = float(self.below.likeness[-1]) if len(self.below.likeness) == CLOSEST else PROMISING
        return min(self.limit, max(known, PROMISING)) - 1e-5


def _joined(first: Pairs, second: Pairs) -> Pairs:
    alike = np.concatenate([first.likeness, second.likeness])
    order = np.argsort(-alike, kind="stable")
    return Pairs(np.concatenate([first.places, second.places])[order], alike[order])


def _upper_bounds(signatures: Floats) -> Floats:
    """[n, 16, 16] -> [n, 256], whose scalar products are never less than the likeness."""
    size = np.abs(signatures)
    larger, smaller = np.maximum(size, size.transpose(0, 2, 1)), np.minimum(size, size.transpose(0, 2, 1))
    return np.asarray((np.triu(larger) + np.tril(smaller, -1)).reshape(-1, SIGNATURE**2))
