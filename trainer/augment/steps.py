"""The kinds of augmentation steps, with the ranges of their values. Standard library only.

Whatever order they are given in, geometry comes first, then colour, then erasing, then mixing. Within geometry and
within colour the order is as given, or what a RandomOrder draws; of several erasings the later given lies on top; for
mixing no order makes a difference.
"""

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, get_type_hints

Degrees = Annotated[float, 0, 180]
Share = Annotated[float, 0, 1]
Amount = Annotated[float, 0, 100]
Ratio = Annotated[float, 1, 100]
Alpha = Annotated[float, 0.001, 1000]


@dataclass(frozen=True)
class _Step:
    """Values are checked against the bounds in their annotations. Raises ValueError."""

    columns: ClassVar[int] = 1
    """How many random numbers a sample needs."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in fields(self):
            low, high = hints[field.name].__metadata__
            value = getattr(self, field.name)
            whole = "a whole number " if hints[field.name].__origin__ is int else ""
            if not low <= value <= high or (whole and not isinstance(value, int)):
                raise ValueError(f"{field.name} must be {whole}from {low:g} to {high:g}, got {value}")


@dataclass(frozen=True)
class Rotation(_Step):
    """Turn about the window's centre by up to `degrees` either way."""

    degrees: Degrees


@dataclass(frozen=True)
class HFlip(_Step):
    """Mirror left and right; text that gives no probability means 1/2."""

    columns = 0


@dataclass(frozen=True)
class VFlip(_Step):
    """Mirror top and bottom; text that gives no probability means 1/2."""

    columns = 0


@dataclass(frozen=True)
class Crop(_Step):
    """Put the window at a random place of the canvas, in whole pixels, or up to `padding` pixels over its edge."""

    padding: Annotated[int, 0, 10_000] = 0
    columns = 2


@dataclass(frozen=True)
class ResizedCrop(_Step):
    """Stretch to the window a random part of the canvas, as torchvision's RandomResizedCrop.

    `min_scale` and `max_scale` are shares of the canvas' area, which the share is uniform between; width to height is
    log-uniform from 1 / `ratio` to `ratio`. A side that would be longer than the canvas is cut to it.
    """

    min_scale: Annotated[float, 0.001, 1]
    max_scale: Share = 1.0
    ratio: Ratio = 4 / 3
    columns = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _in_order("min_scale", self.min_scale, "max_scale", self.max_scale)


@dataclass(frozen=True)
class Affine(_Step):
    """Shear along x (degrees), turn, zoom and shift (share of the window) at once, as torchvision's RandomAffine.

    Each is uniform up to its value, either way, but the zoom's factor log-uniform from 1/(1 + zoom) to 1 + zoom.
    """

    degrees: Degrees = 0.0
    translate: Share = 0.0
    zoom: Annotated[float, 0, 10] = 0.0
    shear: Annotated[float, 0, 60] = 0.0
    columns = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        _does_something(self.degrees, self.translate, self.zoom, self.shear)


@dataclass(frozen=True)
class Brightness(_Step):
    """Scale all values by a factor from 1 - amount, at least 0, to 1 + amount."""

    amount: Amount


@dataclass(frozen=True)
class Contrast(_Step):
    """Scale what differs from the window's mean luma by a factor from 1 - amount, at least 0, to 1 + amount."""

    amount: Amount


@dataclass(frozen=True)
class Saturation(_Step):
    """Scale what differs from the pixel's luma by a factor from 1 - amount, at least 0, to 1 + amount."""

    amount: Amount


@dataclass(frozen=True)
class Hue(_Step):
    """Turn colours about the grey axis of YIQ, by up to `amount` of the circle: a linear stand-in for HSV's hue."""

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
        _does_something(self.brightness, self.contrast, self.saturation, self.hue)

    def spelt_out(self) -> "RandomOrder":
        """The same as single steps."""
        steps = (Brightness(self.brightness), Contrast(self.contrast), Saturation(self.saturation), Hue(self.hue))
        return RandomOrder(tuple(step for step in steps if step.amount > 0))


@dataclass(frozen=True)
class Temperature(_Step):
    """Warmer or cooler light: red times 1 + t, blue times 1 - t, t up to `amount` either way; a grey keeps its luma."""

    amount: Share


@dataclass(frozen=True)
class Grayscale(_Step):
    """Every channel becomes the pixel's luma (ITU-R BT.601); as `grayscale @ 0.2` for a share of the samples."""

    columns = 0


@dataclass(frozen=True)
class Erasing(_Step):
    """Cover a rectangle of the window with grey level `fill`, as torchvision's RandomErasing.

    Its area is uniform between two shares of the window; width to height log-uniform from 1 / `ratio` to `ratio`.
    """

    min_area: Share = 0.02
    max_area: Share = 0.33
    ratio: Ratio = 3.3
    fill: Annotated[float, 0, 255] = 0.0
    columns = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _in_order("min_area", self.min_area, "max_area", self.max_area)


@dataclass(frozen=True)
class Mixup(_Step):
    """Blend with the next sample; its own share is Beta(alpha, alpha) (Zhang et al. 2018)."""

    alpha: Alpha


@dataclass(frozen=True)
class Cutmix(_Step):
    """Paste a rectangle of the next sample, 1 - Beta(alpha, alpha) of the area, cut at the edge (Yun et al. 2019)."""

    alpha: Alpha
    columns = 3


@dataclass(frozen=True)
class RandomApply:
    """Take the step for a share of the samples: `step @ probability`."""

    step: "Step"
    probability: float
    """From 0 to 1."""


@dataclass(frozen=True)
class RandomOrder:
    """Take all steps, in an order that is drawn for every sample."""

    steps: tuple["Step", ...]


@dataclass(frozen=True)
class OneOf:
    """Take one of the steps, each for an equal share of the samples."""

    steps: tuple["Step", ...]


Geometry = Rotation | HFlip | VFlip | Crop | ResizedCrop | Affine
Colour = Brightness | Contrast | Saturation | Hue | Temperature | Grayscale
Mixing = Mixup | Cutmix
Single = Geometry | Colour | Jitter | Erasing | Mixing
Step = Single | RandomApply | RandomOrder | OneOf


def _does_something(*values: float) -> None:
    if not any(values):
        raise ValueError("needs a value above 0")


def _in_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if low > high:
        raise ValueError(f"{low_name} must be at most {high_name}, got {low} and {high}")
