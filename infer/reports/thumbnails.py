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
"""Thumbnails of a report, so that it can be sent by mail: about 2 MB."""
MOST_CLASSES = 25
"""Classes whose images are shown; with more, those with the most mistakes."""
HEAT = (
    "Beside each image its heat map: the image in grey, and in colour, from violet to bright yellow, the evidence for "
    "the predicted class, "
)
ACTIVATION = HEAT + (
    "from the class activation map. Each map is scaled to its own maximum: it shows where evidence lies, not how much "
    "or why."
)
OCCLUSION = HEAT + (
    "found by covering one part after another with grey: the brighter, the more the probability falls without that "
    "part. Each map is scaled to its own maximum: it shows where evidence lies, not how much or why."
)


@dataclass(frozen=True)
class Choice:
    """The images of one true class that a report shows, as rows of the result."""

    label: int
    """Index of the class."""
    mistakes: tuple[int, ...]
    """Wrong predictions, most confident first."""
    uncertain: tuple[int, ...]
    """Predictions, right or wrong, whose two largest probabilities differ least, in that order."""

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys((*self.mistakes, *self.uncertain)))


@dataclass(frozen=True)
class Gallery:
    """The images that a report shows."""

    requested: int
    """Images of each class and kind that were asked for; 0: none, as images may be private."""
    choices: tuple[Choice, ...] = ()
    views: Mapping[int, Pixels | ImageError] = field(default_factory=dict)
    """By row of the result: the evaluation view, uint8 RGB [H, W, 3], or why it can no longer be read."""
    heat: Mapping[int, Floats] = field(default_factory=dict)
    """By row: how much each part speaks for the predicted class, [h, w]; empty without --heatmaps."""
    heat_legend: str = ""
    """How the heat maps were found and how to read them, for people."""


def make_gallery(
    result: EvaluationResult,
    spec: PixelSpec,
    config: ReportConfig,
    screen: Screen,
    session: Session | None = None,
    batch_size: int = 1,
) -> Gallery:
    """Choose and read the images that the page shows, and compute their heat maps with `session`, if one is given.

    Raises DeviceError where they exhaust its device's memory.
    """
    if not (config.pictures and config.thumbnails and result.files):
        return Gallery(config.thumbnails)
    choices = choose_images(result, config.thumbnails)
    views = _read(result, choices, spec)
    if session is None or not config.heatmaps:
        return Gallery(config.thumbnails, choices, views)
    readable = {row: view for row, view in views.items() if not isinstance(view, ImageError)}
    labels = [int(label) for label in result.predicted[list(readable)]]
    with screen.bar("heat maps", len(readable)) as bar:
        maps = heat_maps(session, list(readable.values()), labels, batch_size, bar.step)
    heat = dict(zip(readable, maps, strict=True))
    return Gallery(config.thumbnails, choices, views, heat, ACTIVATION if session.has_cam else OCCLUSION)


def choose_images(result: EvaluationResult, limit: int) -> tuple[Choice, ...]:
    """Up to `limit` images of either kind for each class that occurs, fewer where there are more than MOST altogether.

    With more than MOST_CLASSES classes, those with the most mistakes.
    """
    occurring = [k for k in range(len(result.classes)) if (result.truth == k).any()]
    wrong = result.predicted != result.truth
    mistakes_of = np.bincount(result.truth[wrong], minlength=len(result.classes))
    worst = sorted(occurring, key=lambda k: -mistakes_of[k])[:MOST_CLASSES]
    limit = min(limit, MOST // (2 * len(worst)))
    first, second = -np.partition(-result.probabilities, 1, axis=1)[:, :2].T
    choices = []
    for k in sorted(worst) if limit else ():
        rows = np.flatnonzero(result.truth == k)
        mistakes = rows[wrong[rows]]
        mistakes = mistakes[np.argsort(-first[mistakes], kind="stable")]
        uncertain = rows[np.argsort((first - second)[rows], kind="stable")]
        choices.append(Choice(k, *(tuple(int(row) for row in part[:limit]) for part in (mistakes, uncertain))))
    return tuple(choices)


def _read(result: EvaluationResult, choices: Sequence[Choice], spec: PixelSpec) -> dict[int, Pixels | ImageError]:
    """The evaluation view of each chosen image by its row, uint8 RGB [H, W, 3], or why it can no longer be read."""
    rows = list(dict.fromkeys(row for choice in choices for row in choice.rows))
    files = [result.files[row] for row in rows]
    return dict(zip(rows, read_ahead(files, lambda file: read_window(file, spec)), strict=True))


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
    """The image in grey, with the evidence for the class in colour: brightness is the share of its maximum.

    Args:
        pixels: uint8 RGB [H, W, 3].
        heat: [h, w] of any size; parts that speak against the class are below 0, and are not shown.
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
