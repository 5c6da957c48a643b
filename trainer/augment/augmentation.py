"""Random changes of a whole batch on the device: one resampling, one colour matrix, rectangles, mixing.

Every sample has one row of random numbers, drawn from seed and epoch, and each step of the list its columns in it. So
what happens to a sample does not depend on its batch, nor on the device.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from types import UnionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infer.images.preprocess import PixelSpec, centre_window
from trainer.augment.colour import colour_basis, colour_matrix, recolour
from trainer.augment.geometry import inverse_map, resample
from trainer.augment.mix import erased, own_weight
from trainer.augment.steps import (
    Colour,
    Contrast,
    Cutmix,
    Erasing,
    Geometry,
    Jitter,
    Mixing,
    Mixup,
    OneOf,
    RandomApply,
    RandomOrder,
    Single,
    Step,
)

STREAM = 0x617567
"""Keeps these random numbers apart from others of the same seed and epoch, such as the order of the images."""


@dataclass(frozen=True)
class _Leaf:
    """One step: where its random numbers are, and for which samples it is taken."""

    step: Single
    first: int
    """Column."""
    when: tuple[tuple[int, float, float], ...]
    """It is taken where the number in each of these columns is at least the first bound and below the second."""


@dataclass(frozen=True)
class _Branch:
    """Steps one after another: in the order of the numbers in `keys`, one column each; as they stand if it is empty."""

    inner: tuple["_Leaf | _Branch", ...]
    keys: tuple[int, ...]


class Augmentation:
    """What training does to its images, for images of one PixelSpec.

    Images are moved and then cut, so that the window's corners hold the pixels that lie there; beyond the canvas it is
    black. With no geometry in `steps` the window is the evaluation's, bit for bit.

    Attributes: columns (int), random numbers per sample; mixes (bool), whether samples are mixed with each other.
    """

    def __init__(self, steps: Sequence[Step], spec: PixelSpec, device: torch.device | None = None) -> None:
        """`device` is where the batches will lie; None: the CPU."""
        self.spec = spec
        self._alphas: list[float | None] = []
        everything = _Branch(tuple(_laid_out(step, self._alphas, ()) for step in steps), ())
        self._geometry = _only(everything, Geometry)
        self._colour = _only(everything, Colour)
        leaves = list(_leaves(everything))
        self._erasing = [(leaf, leaf.step) for leaf in leaves if isinstance(leaf.step, Erasing)]
        self._mixing = [(leaf, leaf.step) for leaf in leaves if isinstance(leaf.step, Mixing)]
        pairs = any(isinstance(leaf.step, Contrast) for leaf in leaves)
        self._basis = colour_basis(pairs).to(device)  # now, since a copy to a GPU waits
        self.columns = len(self._alphas)
        self.mixes = bool(self._mixing)

    def draws(self, count: int, seed: int, epoch: int) -> Tensor:
        """Random numbers, float32 [count, columns] on the CPU: row i is the same for any count.

        Uniform in [0, 1), but Beta(alpha, alpha) in [0, 1] where mixup and cutmix take their shares from.
        """
        numbers = np.random.default_rng([seed, epoch, STREAM]).random((count, self.columns), dtype=np.float32)
        for column, alpha in enumerate(self._alphas):
            if alpha is not None:
                numbers[:, column] = np.random.default_rng([seed, epoch, STREAM, column + 1]).beta(alpha, alpha, count)
        return torch.from_numpy(numbers)

    def __call__(self, canvases_nhwc: Tensor, draws: Tensor) -> Tensor:
        """uint8 canvases [n, canvas H, canvas W, 3] and draws [n, columns] -> float32 windows [n, H, W, 3], 0 to 255.

        Both on one device, which never waits for the host.
        """
        if self._geometry:
            maps = _product(self._geometry, draws, lambda step, part: inverse_map(step, part, self.spec))
            planes = resample(canvases_nhwc, maps, self.spec)
        else:
            window: Tensor = centre_window(canvases_nhwc, self.spec)  # type: ignore[arg-type, assignment]  # it slices
            planes = window.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if self._colour:
            planes = recolour(
                planes, _product(self._colour, draws, lambda step, part: colour_matrix(step, part, self._basis))
            )
        for leaf, step in self._erasing:
            planes = erased(planes, step, _part(leaf, draws), _taken(leaf, draws))
        return planes.permute(0, 2, 3, 1)

    def mix(self, windows: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Mix every sample but the last with the next.

        float32 windows [n + 1, H, W, 3] and draws [n + 1, columns] -> windows [n, H, W, 3] and, float32 [n], from 0
        to 1, the share that each sample's own label keeps: that of its own pixels. The next sample's has the rest.
        """
        own, other, draws = windows[:-1], windows[1:], draws[:-1]
        if not self.mixes:
            return own, draws.new_ones(len(draws))
        weight = draws.new_ones(len(draws), 1, 1)
        for leaf, step in self._mixing:
            taken, its = _taken(leaf, draws), own_weight(step, _part(leaf, draws), self.spec.window)
            weight = weight * (its if taken is None else torch.where(taken[:, None, None], its, torch.ones_like(its)))
        return torch.lerp(other, own, weight[..., None]), weight.mean(dim=(1, 2))


def _laid_out(step: Step, alphas: list[float | None], when: tuple[tuple[int, float, float], ...]) -> _Leaf | _Branch:
    """Give a step its columns, each of which adds to `alphas` that of its Beta distribution, or None: uniform."""
    first = len(alphas)
    if isinstance(step, RandomApply):
        alphas.append(None)
        return _laid_out(step.step, alphas, (*when, (first, 0.0, step.probability)))
    if isinstance(step, OneOf):
        alphas.append(None)
        count = len(step.steps)
        bounds = [(first, number / count, (number + 1) / count) for number in range(count)]
        parts = zip(step.steps, bounds, strict=True)
        return _Branch(tuple(_laid_out(inner, alphas, (*when, bound)) for inner, bound in parts), ())
    if isinstance(step, Jitter | RandomOrder):
        ordered = step.spelt_out() if isinstance(step, Jitter) else step
        keys = tuple(range(first, first + len(ordered.steps)))
        alphas.extend(None for _ in keys)
        return _Branch(tuple(_laid_out(inner, alphas, when) for inner in ordered.steps), keys)
    alphas.extend(None for _ in range(step.columns))
    if isinstance(step, Mixup | Cutmix):
        alphas[first] = step.alpha
    return _Leaf(step, first, when)


def _leaves(part: _Leaf | _Branch) -> Iterator[_Leaf]:
    if isinstance(part, _Leaf):
        yield part
    else:
        for inner in part.inner:
            yield from _leaves(inner)


def _only(part: _Leaf | _Branch, kind: UnionType) -> _Leaf | _Branch | None:
    """What is left without the steps of other kinds, in the same order and with the same keys; None: nothing."""
    if isinstance(part, _Leaf):
        return part if isinstance(part.step, kind) else None
    left = [(number, _only(inner, kind)) for number, inner in enumerate(part.inner)]
    kept = [(number, inner) for number, inner in left if inner is not None]
    if not kept:
        return None
    return _Branch(tuple(inner for _, inner in kept), tuple(part.keys[number] for number, _ in kept if part.keys))


def _part(leaf: _Leaf, draws: Tensor) -> Tensor:
    return draws[:, leaf.first : leaf.first + leaf.step.columns]


def _taken(leaf: _Leaf, draws: Tensor) -> Tensor | None:
    """For which samples, bool [n]; None: all."""
    taken = None
    for column, low, high in leaf.when:
        inside = (draws[:, column] >= low) & (draws[:, column] < high)
        taken = inside if taken is None else taken & inside
    return taken


def _product(part: _Leaf | _Branch, draws: Tensor, matrix_of: Callable[[Any, Tensor], Tensor]) -> Tensor:
    """The steps' matrices multiplied in each sample's own order, [n, k, k]: the identity where none is taken."""
    if isinstance(part, _Leaf):
        matrix, taken = matrix_of(part.step, _part(part, draws)), _taken(part, draws)
        if taken is None:
            return matrix
        identity = torch.eye(matrix.shape[1], device=draws.device)
        return torch.where(taken[:, None, None], matrix, identity)
    factors = [_product(inner, draws, matrix_of) for inner in part.inner]
    if part.keys and len(factors) > 1:
        order = torch.stack([draws[:, column] for column in part.keys], dim=1).argsort(dim=1)
        stacked = torch.stack(factors, dim=1)
        factors = list(stacked.gather(1, order[:, :, None, None].expand_as(stacked)).unbind(1))
    # not by matmul, which a GPU may do in TF32, and autocast in half precision
    return reduce(lambda left, right: (left[:, :, :, None] * right[:, None]).sum(dim=2), factors)
