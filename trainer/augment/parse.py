"""Augmentation as text, and how far it looks. Standard library only.

    rotation(20), hflip, random_order(brightness(0.2), contrast(0.2)), one_of(mixup(0.2), cutmix(1)) @ 0.5

A step is taken for every sample, or, with `@ p` behind it, with probability p; the flips mean 1/2 where the text gives
none. Geometry comes first, then colour, then erasing, then mixing, whatever the order of the text
(trainer/augment/steps.py).
"""

import math
from collections.abc import Sequence

from infer.core.errors import ConfigError
from trainer.augment import steps as kinds
from trainer.augment.expressions import Call, build, parse_calls
from trainer.augment.steps import Affine, Crop, OneOf, RandomApply, RandomOrder, Rotation, Single, Step

OPTION = "--augment"
SINGLE: dict[str, type[Single]] = {
    "rotation": kinds.Rotation,
    "hflip": kinds.HFlip,
    "vflip": kinds.VFlip,
    "crop": kinds.Crop,
    "resized_crop": kinds.ResizedCrop,
    "affine": kinds.Affine,
    "brightness": kinds.Brightness,
    "contrast": kinds.Contrast,
    "saturation": kinds.Saturation,
    "hue": kinds.Hue,
    "jitter": kinds.Jitter,
    "temperature": kinds.Temperature,
    "grayscale": kinds.Grayscale,
    "erasing": kinds.Erasing,
    "mixup": kinds.Mixup,
    "cutmix": kinds.Cutmix,
}
SEVERAL: dict[str, type[RandomOrder | OneOf]] = {"random_order": RandomOrder, "one_of": OneOf}
STEPS: dict[str, type[Step]] = {**SINGLE, **SEVERAL}
"""By the names of the text."""
WRITTEN_PLAINLY: dict[str, float] = {"hflip": 0.5, "vflip": 0.5}
"""Probabilities where the text gives none; of every other step 1."""
FARTHEST = 2.0
"""Half window sides: augmentation never asks for a canvas of more than twice the window."""


def parse_steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """The steps of comma-separated texts, in order. Raises ConfigError for what is no step or has no such values."""
    return tuple(_step(call) for text in texts for call in parse_calls(text, OPTION))


def reach(steps: Sequence[Step]) -> float:
    """How far from the window's centre the steps may look, in half sides of a square window: from 1 to FARTHEST.

    An upper bound of either coordinate over the window. Each step reads, for a place at most r away, one at most
    stretch * (r + shift) away; together that is at most the product of stretches times 1 + the sum of shifts, in any
    order. A crop or resized_crop moves within the canvas that there is and asks for none of its own.
    """
    stretch, shift = _bound(steps)
    return min(FARTHEST, stretch * (1 + shift))


def crop_paddings(steps: Sequence[Step]) -> list[int]:
    """The padding of every `crop` among the steps, wherever it stands."""
    found: list[int] = []
    for step in steps:
        inner = step.step if isinstance(step, RandomApply) else step
        if isinstance(inner, RandomOrder | OneOf):
            found += crop_paddings(inner.steps)
        elif isinstance(inner, Crop):
            found.append(inner.padding)
    return found


def _step(call: Call) -> Step:
    if call.name in SEVERAL:
        inner = [_step(item) for item in call.arguments if isinstance(item, Call)]
        if call.named or not inner or len(inner) < len(call.arguments):
            raise ConfigError(f"{OPTION}: {call.name} takes steps, such as {call.name}(rotation(20), hflip)")
        step: Step = SEVERAL[call.name](tuple(inner))
    elif call.name in SINGLE:
        step = build(call, SINGLE, OPTION)
    else:
        raise ConfigError(f"{OPTION}: there is no step {call.name}; there are {', '.join(STEPS)}")
    given = call.probability
    probability = WRITTEN_PLAINLY.get(call.name, 1.0) if given is None else given
    return step if probability == 1 else RandomApply(step, probability)


def _bound(steps: Sequence[Step]) -> tuple[float, float]:
    """Stretch, at least 1, and shift of a sequence."""
    bounds = [_bound_of(step) for step in steps]
    return math.prod(stretch for stretch, _ in bounds), sum(shift for _, shift in bounds)


def _bound_of(step: Step) -> tuple[float, float]:
    if isinstance(step, RandomApply):
        return _bound_of(step.step) if step.probability > 0 else (1.0, 0.0)
    if isinstance(step, RandomOrder):
        return _bound(step.steps)
    if isinstance(step, OneOf):
        stretches, shifts = zip(*(_bound_of(inner) for inner in step.steps), strict=True)
        return max(stretches), max(shifts)
    if isinstance(step, Rotation):
        return _turned(step.degrees), 0.0
    if isinstance(step, Affine):
        sheared = 1 + math.tan(math.radians(step.shear))
        return _turned(step.degrees) * (1 + step.zoom) * sheared, 2 * step.translate
    return 1.0, 0.0


def _turned(degrees: float) -> float:
    angle = math.radians(min(degrees, 45.0))
    return math.cos(angle) + math.sin(angle)
