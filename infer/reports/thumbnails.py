"""The images that a report shows, as the network sees them: the most confident mistakes and the least certain."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infer.config import ReportConfig
from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError
from infer.images.parallel_map import read_ahead
from infer.images.preprocess import PixelSpec, read_window
from infer.metrics.result import EvaluationResult
from infer.model.session import Session
from infer.reports.heatmap import heat_maps
from infer.reports.html import data_uri

SIDE = 128
"""Pixels of a thumbnail's longer side, at most."""
MOST = 400
"""Thumbnails of a report, so that it stays a file to be sent by mail: about 2 MB."""


HEAT = (
    "Beside each image its heat map: the image in grey, and in colour, from violet to bright yellow, where the "
    "evidence for the predicted class lies, "
)
ACTIVATION = HEAT + (
    "by the class activation map. Each map is scaled to its own maximum: it tells where, not how much, and not why."
)
OCCLUSION = HEAT + (
    "found by covering one part after another with grey: the brighter, the more the probability falls without that "
    "part. Each map is scaled to its own maximum: it tells where, not how much, and not why."
)


@dataclass(frozen=True)
class Choice:
    """Which images of one true class a report shows, as places among the result's n images."""

    label: int
    """Index of the class."""
    mistakes: tuple[int, ...]
    """Wrong ones, the most confident first."""
    unsure: tuple[int, ...]
    """Those whose two most probable classes are nearest to each other, the nearest first; right or wrong."""

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys((*self.mistakes, *self.unsure)))


@dataclass(frozen=True)
class Gallery:
    """What a report shows of its images."""

    asked: int
    """How many of each class and kind were asked for; 0: none, as images may be private."""
    chosen: tuple[Choice, ...] = ()
    views: Mapping[int, Pixels | ImageError] = field(default_factory=dict)
    """By place: the evaluation view, uint8 RGB [H, W, 3], or why it cannot be read any more."""
    heat: Mapping[int, Floats] = field(default_factory=dict)
    """By place: how much each part speaks for the predicted class, [h, w]; empty where that was not asked for."""
    heat_told: str = ""
    """What the heat is, for people."""


def make_gallery(
    result: EvaluationResult,
    spec: PixelSpec,
    config: ReportConfig,
    screen: Screen,
    session: Session | None = None,
    batch_size: int = 1,
) -> Gallery:
    """Choose and read the images that the page shows, and ask `session`, where one is given, for their heat maps.

    Raises DeviceError where its device's memory is exhausted by them.
    """
    if not (config.pictures and config.thumbnails and result.files):
        return Gallery(config.thumbnails)
    chosen = choose_images(result, config.thumbnails)
    views = _read(result, chosen, spec)
    if session is None or not config.heatmaps:
        return Gallery(config.thumbnails, chosen, views)
    seen = {place: view for place, view in views.items() if not isinstance(view, ImageError)}
    labels = [int(label) for label in result.predicted[list(seen)]]
    with screen.bar("heat maps", len(seen)) as bar:
        heat = dict(zip(seen, heat_maps(session, list(seen.values()), labels, batch_size, bar.step), strict=True))
    return Gallery(config.thumbnails, chosen, views, heat, ACTIVATION if session.has_cam else OCCLUSION)


def choose_images(result: EvaluationResult, each: int) -> tuple[Choice, ...]:
    """Of each class with images up to `each` of either kind; of many classes fewer, and of those with most mistakes.

    No more than MOST altogether.
    """
    occurring = [k for k in range(len(result.classes)) if (result.truth == k).any()]
    wrong = result.predicted != result.truth
    worst_first = sorted(occurring, key=lambda k: -int(wrong[result.truth == k].sum()))
    each = min(each, max(1, MOST // (2 * len(occurring))))
    kept = sorted(worst_first[: MOST // (2 * each)]) if each else []
    first, second = (np.sort(result.probabilities, axis=1)[:, place] for place in (-1, -2))
    chosen = []
    for k in kept:
        rows = np.flatnonzero(result.truth == k)
        mistakes = rows[wrong[rows]]
        mistakes = mistakes[np.argsort(-first[mistakes], kind="stable")]
        unsure = rows[np.argsort((first - second)[rows], kind="stable")]
        chosen.append(Choice(k, *(tuple(int(row) for row in part[:each]) for part in (mistakes, unsure))))
    return tuple(chosen)


def _read(result: EvaluationResult, chosen: Sequence[Choice], spec: PixelSpec) -> dict[int, Pixels | ImageError]:
    """The evaluation view of each chosen image by its place, uint8 RGB [H, W, 3], or why it cannot be read any more."""
    places = list(dict.fromkeys(place for choice in chosen for place in choice.places))
    files = [result.files[place] for place in places]
    return dict(zip(places, read_ahead(files, lambda file: read_window(file, spec)), strict=True))


def jpeg_uri(pixels: Pixels) -> str:
    """An image as a `data:` URI, no side longer than SIDE."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return data_uri("image/jpeg", _jpeg(image))


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=85)
    return out.getvalue()


def overlay(pixels: Pixels, heat: NDArray[np.floating]) -> Pixels:
    """The image in grey, with the parts that speak for the class in colour: the brighter, the more of its maximum.

    Args:
        pixels: uint8 RGB [H, W, 3].
        heat: [h, w] of any size, below 0 where a part speaks against the class, which is not shown.
    """
    from matplotlib import colormaps

    most = float(heat.max())
    share = np.clip(heat / most, 0, 1) if most > 0 else np.zeros_like(heat)
    height, width = pixels.shape[:2]
    size = Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(size), 0, 1)[..., None]
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)[..., None]
    colour = 255 * colormaps["inferno"](0.25 + 0.75 * smooth[..., 0])[..., :3]
    strength = 0.65 * smooth
    mixed = (1 - strength) * grey + strength * colour
    return np.asarray(mixed.round(), dtype=np.uint8)
