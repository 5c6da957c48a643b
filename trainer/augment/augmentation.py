"""Augmentation of a whole batch on the device: one resampling, one colour matrix, erased rectangles, mixing.

Every sample has a row of random numbers, drawn from seed and epoch, and every step has its columns in that row. So the
augmentation of a sample depends neither on its batch nor on the device. What follows from the numbers alone is planned
for many batches at once: on a GPU each small operation of a training step costs a launch.
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
from trainer.augment.geometry import inverse_map, resample, window_grids, window_positions
from trainer.augment.mix import covered_area, erase, mixed_share, own_weight
from trainer.augment.plan import Plan
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

PLANNED = 65_536
"""Samples that are planned at once: each takes up to a kilobyte."""
STREAM = 0x617567
"""Separates these random numbers from others of the same seed and epoch, such as the order of the images."""


@dataclass(frozen=True)
class _Leaf:
    """One step, the columns of its random numbers, and the samples that it applies to."""

    step: Single
    first: int
    """The first of its columns."""
    when: tuple[tuple[int, float, float], ...]
    """Column, low, high: it applies to samples whose numbers are at least low and below high in all of them."""


@dataclass(frozen=True)
class _Branch:
    """A sequence of steps."""

    inner: tuple["_Leaf | _Branch", ...]
    keys: tuple[int, ...]
    """Columns, one for each step: their numbers, sorted, give a sample's order. Empty: the order of the list."""


class Augmentation:
    """Augmentation of canvases of one PixelSpec.

    The canvas is transformed before the window is cut from it, so a rotated window's corners hold real pixels; beyond
    the canvas it is black. Without geometry in `steps`, the window is that of evaluation, bit for bit.

    Attributes: columns (int), random numbers per sample; mixes (bool), whether samples are mixed with each other.
    """

    def __init__(self, steps: Sequence[Step], spec: PixelSpec, device: torch.device | None = None) -> None:
        """`device` is the device of the batches; None: the CPU."""
        self.spec = spec
        self._alphas: list[float | None] = []
        root = _Branch(tuple(_lay_out(step, self._alphas, ()) for step in steps), ())
        self._geometry = _select(root, Geometry)
        self._colour = _select(root, Colour)
        leaves = list(_leaves(root))
        self._erasing = [(leaf, leaf.step) for leaf in leaves if isinstance(leaf.step, Erasing)]
        self._mixing = [(leaf, leaf.step) for leaf in leaves if isinstance(leaf.step, Mixing)]
        pairs = any(isinstance(leaf.step, Contrast) for leaf in leaves)
        # now, since a copy to a GPU blocks
        self._basis = colour_basis(pairs).to(device)
        self._positions = window_positions(spec, device)
        self.columns = len(self._alphas)
        self.mixes = bool(self._mixing)

    def draws(self, count: int, seed: int, epoch: int) -> Tensor:
        """Random numbers, float32 [count, columns] on the CPU; row i is the same for any count.

        Uniform in [0, 1); the shares of mixup and cutmix are Beta(alpha, alpha) in [0, 1].
        """
        numbers = np.random.default_rng([seed, epoch, STREAM]).random((count, self.columns), dtype=np.float32)
        for column, alpha in enumerate(self._alphas):
            if alpha is not None:
                numbers[:, column] = np.random.default_rng([seed, epoch, STREAM, column + 1]).beta(alpha, alpha, count)
        return torch.from_numpy(numbers)

    def plan(self, draws: Tensor) -> Plan:
        """What follows from draws [n, columns] on the device of the batches, for n samples."""
        grids = colours = None
        if self._geometry:
            maps = _product(self._geometry, draws, lambda step, part: inverse_map(step, part, self.spec))
            grids = window_grids(maps, self.spec)
        if self._colour:
            colours = _product(self._colour, draws, lambda step, part: colour_matrix(step, part, self._basis))
        window = self.spec.window
        erased = [covered_area(step, _columns(leaf, draws), _mask(leaf, draws), window) for leaf, step in self._erasing]
        mixed = [mixed_share(step, _columns(leaf, draws), _mask(leaf, draws), window) for leaf, step in self._mixing]
        return Plan(grids, colours, tuple(erased), tuple(mixed))

    def plans(self, draws: Tensor, starts: Sequence[int], size: int) -> Iterator[Plan]:
        """The plans of `size` samples each from these rows of draws on, planned for about PLANNED samples at once."""
        stride = starts[1] - starts[0] if len(starts) > 1 else size
        block = max(1, PLANNED // stride)
        for first in range(0, len(starts), block):
            chunk = starts[first : first + block]
            plan = self.plan(draws[chunk[0] : chunk[-1] + size])
            for start in chunk:
                yield plan.rows(start - chunk[0], start - chunk[0] + size)

    def __call__(self, canvases_nhwc: Tensor, plan: Plan) -> Tensor:
        """uint8 canvases [n, canvas H, canvas W, 3] and a plan of n samples -> windows, float32 [n, H, W, 3], 0 to 255.

        Both are on one device, which never waits for the host.
        """
        if plan.grids is not None:
            planes = resample(canvases_nhwc, plan.grids, self._positions)
        else:
            window: Tensor = centre_window(canvases_nhwc, self.spec)  # type: ignore[arg-type, assignment]  # it slices
            planes = window.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if plan.colours is not None:
            planes = recolour(planes, plan.colours)
        for (_, step), (columns, rows) in zip(self._erasing, plan.erased, strict=True):
            planes = erase(planes, columns, rows, step.fill)
        return planes.permute(0, 2, 3, 1)

    def mix(self, windows: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        """Mix every sample but the last with the next.

        float32 windows [n + 1, H, W, 3] and their plan -> mixed windows [n, H, W, 3], and the weight of each sample's
        own label, float32 [n], 0 to 1: the share of its own pixels. The next sample's label has the rest.
        """
        own, other = windows[:-1], windows[1:]
        if not plan.mixed:
            return own, own.new_ones(len(own))
        weights = [own_weight(parts) for parts in plan.rows(0, len(own)).mixed]
        weight = reduce(torch.mul, weights)
        return torch.lerp(other, own, weight[..., None]), weight.mean(dim=(1, 2))


def _lay_out(step: Step, alphas: list[float | None], when: tuple[tuple[int, float, float], ...]) -> _Leaf | _Branch:
    """Assign columns to a step; each adds to `alphas` the parameter of its Beta distribution, or None: uniform."""
    first = len(alphas)
    if isinstance(step, RandomApply):
        alphas.append(None)
        return _lay_out(step.step, alphas, (*when, (first, 0.0, step.probability)))
    if isinstance(step, OneOf):
        alphas.append(None)
        count = len(step.steps)
        bounds = [(first, number / count, (number + 1) / count) for number in range(count)]
        pairs = zip(step.steps, bounds, strict=True)
        return _Branch(tuple(_lay_out(inner, alphas, (*when, bound)) for inner, bound in pairs), ())
    if isinstance(step, Jitter | RandomOrder):
        ordered = step.as_steps() if isinstance(step, Jitter) else step
        keys = tuple(range(first, first + len(ordered.steps)))
        alphas.extend(None for _ in keys)
        return _Branch(tuple(_lay_out(inner, alphas, when) for inner in ordered.steps), keys)
    alphas.extend(None for _ in range(step.columns))
    if isinstance(step, Mixup | Cutmix):
        alphas[first] = step.alpha
    return _Leaf(step, first, when)


def _leaves(node: _Leaf | _Branch) -> Iterator[_Leaf]:
    if isinstance(node, _Leaf):
        yield node
    else:
        for inner in node.inner:
            yield from _leaves(inner)


def _select(node: _Leaf | _Branch, kind: UnionType) -> _Leaf | _Branch | None:
    """The tree of the steps of one kind, with their order and keys; None if there is none."""
    if isinstance(node, _Leaf):
        return node if isinstance(node.step, kind) else None
    selected = [(index, _select(inner, kind)) for index, inner in enumerate(node.inner)]
    kept = [(index, inner) for index, inner in selected if inner is not None]
    if not kept:
        return None
    return _Branch(tuple(inner for _, inner in kept), tuple(node.keys[index] for index, _ in kept if node.keys))


def _columns(leaf: _Leaf, draws: Tensor) -> Tensor:
    """The step's own random numbers, [n, step.columns]."""
    return draws[:, leaf.first : leaf.first + leaf.step.columns]


def _mask(leaf: _Leaf, draws: Tensor) -> Tensor | None:
    """The samples that the step applies to, bool [n]; None: all."""
    mask = None
    for column, low, high in leaf.when:
        inside = (draws[:, column] >= low) & (draws[:, column] < high)
        mask = inside if mask is None else mask & inside
    return mask


def _product(node: _Leaf | _Branch, draws: Tensor, matrix_of: Callable[[Any, Tensor], Tensor]) -> Tensor:
    """The product of the steps' matrices in each sample's own order, [n, k, k]; the identity where none applies."""
    if isinstance(node, _Leaf):
        matrix, mask = matrix_of(node.step, _columns(node, draws)), _mask(node, draws)
        if mask is None:
            return matrix
        identity = torch.eye(matrix.shape[1], device=draws.device)
        return torch.where(mask[:, None, None], matrix, identity)
    factors = [_product(inner, draws, matrix_of) for inner in node.inner]
    if node.keys and len(factors) > 1:
        order = torch.stack([draws[:, column] for column in node.keys], dim=1).argsort(dim=1)
        stacked = torch.stack(factors, dim=1)
        factors = list(stacked.gather(1, order[:, :, None, None].expand_as(stacked)).unbind(1))
    # not matmul: a GPU may use TF32 for it, and autocast half precision
    return reduce(lambda left, right: (left[:, :, :, None] * right[:, None]).sum(dim=2), factors)
