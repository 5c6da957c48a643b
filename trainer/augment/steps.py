"""The augmentation steps, with the ranges of their parameters. Standard library only.

Geometry comes first, then colour, then erasing, then mixing, in whatever order the steps are listed. Within geometry
and within colour the order is that of the list, or the one a RandomOrder draws. Of several erasings, the last one
listed lies on top; for mixing the order makes no difference.
"""

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, get_type_hints

from infer.core.parse import is_whole

Degrees = Annotated[float, 0, 180]
Share = Annotated[float, 0, 1]
Amount = Annotated[float, 0, 100]
Ratio = Annotated[float, 1, 100]
Alpha = Annotated[float, 0.001, 1000]


@dataclass(frozen=True)
class _Step:
    """Checks its parameters against the bounds in their annotations. Raises ValueError."""

    columns: ClassVar[int] = 1
    """Random numbers that the step needs for a sample."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in fields(self):
            low, high = hints[field.name].__metadata__
            value = getattr(self, field.name)
            integer = "a whole number " if hints[field.name].__origin__ is int else ""
            if not low <= value <= high or (integer and not is_whole(value)):
                raise ValueError(f"{field.name} must be {integer}from {low:g} to {high:g}, got {value}")


@dataclass(frozen=True)
class Rotation(_Step):
    """Rotate about the window's centre, by up to `degrees` in either direction."""

    degrees: Degrees


@dataclass(frozen=True)
class HFlip(_Step):
    """Mirror left and right; in text without a probability, for half of the samples."""

    columns = 0


@dataclass(frozen=True)
class VFlip(_Step):
    """Mirror top and bottom; in text without a probability, for half of the samples."""

    columns = 0


@dataclass(frozen=True)
class Crop(_Step):
    """Cut the window from a random position in the canvas, in whole pixels, up to `padding` pixels beyond its edge."""

    padding: Annotated[int, 0, 10_000] = 0
    columns = 2


@dataclass(frozen=True)
class ResizedCrop(_Step):
    """Resize a random part of the canvas to the window, as torchvision's RandomResizedCrop.

    Its share of the canvas's area is uniform from `min_scale` to `max_scale`, its ratio of width to height log-uniform
    from 1 / `ratio` to `ratio`. A side that would be longer than the canvas is cut to it.
    """

    min_scale: Annotated[float, 0.001, 1]
    max_scale: Share = 1.0
    ratio: Ratio = 4 / 3
    columns = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_order("min_scale", self.min_scale, "max_scale", self.max_scale)


@dataclass(frozen=True)
class Affine(_Step):
    """Shear along x (degrees), rotate, zoom and shift (share of the window) at once, as torchvision's RandomAffine.

    Each is uniform up to its value in either direction, but the zoom factor log-uniform from 1/(1 + zoom) to 1 + zoom.
    """

    degrees: Degrees = 0.0
    translate: Share = 0.0
    zoom: Annotated[float, 0, 10] = 0.0
    shear: Annotated[float, 0, 60] = 0.0
    columns = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_effect(self.degrees, self.translate, self.zoom, self.shear)


@dataclass(frozen=True)
class Brightness(_Step):
    """Scale all values by a factor from 1 - amount, at least 0, to 1 + amount."""

    amount: Amount


@dataclass(frozen=True)
class Contrast(_Step):
    """Scale the difference from the window's mean luma by a factor from 1 - amount, at least 0, to 1 + amount."""

    amount: Amount


@dataclass(frozen=True)
class Saturation(_Step):
    """Scale the difference from the pixel's luma by a factor from 1 - amount, at least 0, to 1 + amount."""

    amount: Amount


@dataclass(frozen=True)
class Hue(_Step):
    """Rotate colours about the grey axis of YIQ, by up to `amount` of a turn: a linear approximation of HSV's hue."""

    amount: Annotated[float, 0, 0.5]


@dataclass(frozen=True)
class Jitter(_Step):
    """Brightness, contrast, saturation and hue in random order, as torchvision's ColorJitter."""

    brightness: Amount = 0.0
    contrast: Amount = 0.0
    saturation: Amount = 0.0
    hue: Annotated[float, 0, 0.5] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_effect(self.brightness, self.contrast, self.saturation, self.hue)

    def as_steps(self) -> "RandomOrder":
        """The same in single steps."""
        steps = (Brightness(self.brightness), Contrast(self.contrast), Saturation(self.saturation), Hue(self.hue))
        return RandomOrder(tuple(step for step in steps if step.amount > 0))


@dataclass(frozen=True)
class Temperature(_Step):
    """Warmer or cooler light: red times 1 + t, blue times 1 - t, |t| up to `amount`; a grey keeps its luma."""

    amount: Share


@dataclass(frozen=True)
class Grayscale(_Step):
    """Set every channel to the pixel's luma (ITU-R BT.601); `grayscale @ 0.2` does so for a fifth of the samples."""

    columns = 0


@dataclass(frozen=True)
class Erasing(_Step):
    """Cover a rectangle of the window with grey level `fill`, as torchvision's RandomErasing.

    Its share of the window's area is uniform from `min_area` to `max_area`, its ratio of width to height log-uniform
    from 1 / `ratio` to `ratio`.
    """

    min_area: Share = 0.02
    max_area: Share = 0.33
    ratio: Ratio = 3.3
    fill: Annotated[float, 0, 255] = 0.0
    columns = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_order("min_area", self.min_area, "max_area", self.max_area)


@dataclass(frozen=True)
class Mixup(_Step):
    """Blend with the next sample; a sample's own share is Beta(alpha, alpha) (Zhang et al. 2018)."""

    alpha: Alpha


@dataclass(frozen=True)
class Cutmix(_Step):
    """Paste a rectangle of the next sample, 1 - Beta(alpha, alpha) of the area, cut at the edge (Yun et al. 2019)."""

    alpha: Alpha
    columns = 3


@dataclass(frozen=True)
class RandomApply:
    """Apply the step to a share of the samples: `step @ probability`."""

    step: "Step"
    probability: float
    """From 0 to 1."""


@dataclass(frozen=True)
class RandomOrder:
    """Apply all steps, in an order that is drawn for each sample."""

    steps: tuple["Step", ...]


@dataclass(frozen=True)
class OneOf:
    """Apply one of the steps, each to an equal share of the samples."""

    steps: tuple["Step", ...]


Geometry = Rotation | HFlip | VFlip | Crop | ResizedCrop | Affine
Colour = Brightness | Contrast | Saturation | Hue | Temperature | Grayscale
Mixing = Mixup | Cutmix
Single = Geometry | Colour | Jitter | Erasing | Mixing
Step = Single | RandomApply | RandomOrder | OneOf


def _require_effect(*values: float) -> None:
    if not any(values):
        raise ValueError("needs a value above 0")


def _require_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if low > high:
        raise ValueError(f"{low_name} must be at most {high_name}, got {low} and {high}")
