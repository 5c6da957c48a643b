"""Augmentation steps from text, and how far outside the window they read. Standard library only.

    rotation(20), hflip, random_order(brightness(0.2), contrast(0.2)), one_of(mixup(0.2), cutmix(1)) @ 0.5

A step applies to every sample, or with `@ p` after it, with probability p; flips have 1/2 where the text gives none.
Geometry comes first, then colour, then erasing, then mixing, whatever the order of the text (see steps.py).
"""

import math
from collections.abc import Sequence

from infer.core.errors import ConfigError
from trainer.augment import steps
from trainer.augment.expressions import Call, build, parse_calls
from trainer.augment.steps import Affine, Crop, OneOf, RandomApply, RandomOrder, Rotation, Single, Step

OPTION = "--augment"
SINGLE: dict[str, type[Single]] = {
    "rotation": steps.Rotation,
    "hflip": steps.HFlip,
    "vflip": steps.VFlip,
    "crop": steps.Crop,
    "resized_crop": steps.ResizedCrop,
    "affine": steps.Affine,
    "brightness": steps.Brightness,
    "contrast": steps.Contrast,
    "saturation": steps.Saturation,
    "hue": steps.Hue,
    "jitter": steps.Jitter,
    "temperature": steps.Temperature,
    "grayscale": steps.Grayscale,
    "erasing": steps.Erasing,
    "mixup": steps.Mixup,
    "cutmix": steps.Cutmix,
}
GROUPS: dict[str, type[RandomOrder | OneOf]] = {"random_order": RandomOrder, "one_of": OneOf}
"""Steps that are made of steps."""
STEPS: dict[str, type[Step]] = {**SINGLE, **GROUPS}
"""All steps, by their names in the text."""
DEFAULT_PROBABILITY: dict[str, float] = {"hflip": 0.5, "vflip": 0.5}
"""Probabilities where the text gives none; 1 for every other step."""
MAX_REACH = 2.0
"""In half sides of the window: augmentation never asks for a canvas of more than twice the window."""


def parse_steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """Parse comma-separated steps, in order. Raises ConfigError for an unknown step or a value out of range."""
    return tuple(_step(call) for text in texts for call in parse_calls(text, OPTION))


def reach(augmentation: Sequence[Step]) -> float:
    """How far from the window's centre the steps read, in half sides of a square window: from 1 to MAX_REACH.

    An upper bound of either coordinate over the window. For a point at distance r from the centre, a step reads one at
    a distance of at most stretch * (r + shift); for all steps, in any order, that is at most the product of stretches
    times (1 + the sum of shifts). crop and resized_crop move within the canvas and need no larger one.
    """
    stretch, shift = _bounds(augmentation)
    return min(MAX_REACH, stretch * (1 + shift))


def crop_paddings(augmentation: Sequence[Step]) -> list[int]:
    """The padding of every `crop` among the steps, at any depth."""
    paddings: list[int] = []
    for step in augmentation:
        inner = step.step if isinstance(step, RandomApply) else step
        if isinstance(inner, RandomOrder | OneOf):
            paddings += crop_paddings(inner.steps)
        elif isinstance(inner, Crop):
            paddings.append(inner.padding)
    return paddings


def _step(call: Call) -> Step:
    if call.name in GROUPS:
        inner = [_step(item) for item in call.arguments if isinstance(item, Call)]
        if call.named or not inner or len(inner) < len(call.arguments):
            raise ConfigError(f"{OPTION}: {call.name} takes steps, such as {call.name}(rotation(20), hflip)")
        step: Step = GROUPS[call.name](tuple(inner))
    elif call.name in SINGLE:
        step = build(call, SINGLE, OPTION)
    else:
        raise ConfigError(f"{OPTION}: unknown step {call.name}; choose one of {', '.join(STEPS)}")
    default = DEFAULT_PROBABILITY.get(call.name, 1.0)
    probability = default if call.probability is None else call.probability
    return step if probability == 1 else RandomApply(step, probability)


def _bounds(augmentation: Sequence[Step]) -> tuple[float, float]:
    """Stretch, at least 1, and shift of a sequence of steps."""
    bounds = [_step_bounds(step) for step in augmentation]
    return math.prod(stretch for stretch, _ in bounds), sum(shift for _, shift in bounds)


def _step_bounds(step: Step) -> tuple[float, float]:
    if isinstance(step, RandomApply):
        return _step_bounds(step.step) if step.probability > 0 else (1.0, 0.0)
    if isinstance(step, RandomOrder):
        return _bounds(step.steps)
    if isinstance(step, OneOf):
        stretches, shifts = zip(*(_step_bounds(inner) for inner in step.steps), strict=True)
        return max(stretches), max(shifts)
    if isinstance(step, Rotation):
        return _rotation_stretch(step.degrees), 0.0
    if isinstance(step, Affine):
        shear_stretch = 1 + math.tan(math.radians(step.shear))
        return _rotation_stretch(step.degrees) * (1 + step.zoom) * shear_stretch, 2 * step.translate
    return 1.0, 0.0


def _rotation_stretch(degrees: float) -> float:
    """Half diagonal of a square with half side 1, turned by up to `degrees`, along an axis."""
    angle = math.radians(min(degrees, 45.0))
    return math.cos(angle) + math.sin(angle)
