"""Enhancement of an upright RGB image before it is cropped and resized: steps of a PixelSpec.

Each is a frozen dataclass whose call takes and returns an RGB image of the same size. They run on the host, on every
image that is trained on or predicted, and travel in the card.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from infer.core.parse import is_whole

Plane = NDArray[np.uint8]
Floats = NDArray[np.float32]

MAX_TILES = 64
"""Per side; more would cut ordinary images into tiles of a few pixels, and need memory as the square."""
STRIP = 1 << 16
"""Pixels that are interpolated at a time: small enough for a processor's cache, whatever the image's size."""


@dataclass(frozen=True)
class Clahe:
    """Contrast limited adaptive histogram equalisation of each channel: OpenCV's `createCLAHE(clip, (tiles, tiles))`.

    Zuiderveld, Graphics Gems IV (1994), as OpenCV computes it, border and rounding included. Raises ValueError for
    values out of range.
    """

    clip: float
    """Above 0, at most 256: a histogram's bins are cut at this many times their mean. 256 cuts nothing."""
    tiles: int
    """1 to MAX_TILES per side."""

    def __post_init__(self) -> None:
        _in_range("clip", self.clip, most=256)
        if not is_whole(self.tiles) or not 1 <= self.tiles <= MAX_TILES:
            raise ValueError(f"tiles must be a whole number from 1 to {MAX_TILES}, got {self.tiles}")

    def __call__(self, image: Image.Image) -> Image.Image:
        planes = [np.asarray(band) for band in image.split()]
        return Image.merge("RGB", [Image.fromarray(_equalize(plane, self.clip, self.tiles)) for plane in planes])


@dataclass(frozen=True)
class Unsharp:
    """Unsharp mask: image + strength x (image - its Gaussian blur), each rounded to a level; the border is repeated.

    Pillow's filter: its Gaussian is three box blurs, its strength a whole percentage. Raises ValueError for values
    out of range.
    """

    sigma: float
    """Of the Gaussian, in pixels; above 0, at most 1000."""
    strength: float
    """Above 0, at most 100."""

    def __post_init__(self) -> None:
        _in_range("sigma", self.sigma, most=1000)
        _in_range("strength", self.strength, most=100)

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.UnsharpMask(self.sigma, round(100 * self.strength), threshold=0))


@dataclass(frozen=True)
class WhiteBalance:
    """Grey world: each channel is scaled by the overall mean over its own mean, and clipped to 0..255.

    Buchsbaum, A spatial processor model for object colour perception (1980). A black channel stays black.
    """

    def __call__(self, image: Image.Image) -> Image.Image:
        levels = np.arange(256)
        means = np.array(image.histogram()).reshape(3, 256) @ levels / (image.width * image.height)
        scales = means.mean() / np.where(means > 0, means, 1)
        return image.point(np.rint(scales[:, None] * levels).clip(0, 255).astype(int).ravel().tolist())


@dataclass(frozen=True)
class MeanFilter:
    """The mean of the `size` x `size` pixels around each; the border is repeated. Raises ValueError for a bad size."""

    size: int
    """Odd, 3 to 999 pixels."""

    def __post_init__(self) -> None:
        if not is_whole(self.size) or not 3 <= self.size <= 999 or self.size % 2 == 0:
            raise ValueError(f"size must be an odd number from 3 to 999, got {self.size}")

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.BoxBlur((self.size - 1) / 2))


Enhancement = Clahe | Unsharp | WhiteBalance | MeanFilter
ENHANCEMENTS: dict[str, type[Enhancement]] = {
    "clahe": Clahe,
    "unsharp": Unsharp,
    "white_balance": WhiteBalance,
    "mean_filter": MeanFilter,
}


def _in_range(name: str, value: object, most: float) -> None:
    """Raises ValueError unless `value` is a number above 0 and at most `most`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= most:
        raise ValueError(f"{name} must be above 0 and at most {most}, got {value}")


def _equalize(plane: Plane, clip: float, tiles: int) -> Plane:
    """CLAHE of one channel [H, W]: each pixel looks its level up in the tables of the four tiles around it.

    The four levels lie side by side in one 32-bit entry, so that a pixel costs one look-up.
    """
    tables, tile_height, tile_width = _tile_tables(plane, clip, tiles)
    padded = np.pad(tables, ((1, 1), (1, 1), (0, 0)), "edge")
    around = [padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]]
    entries = np.ascontiguousarray(np.stack(around, axis=-1)).view(np.uint32).ravel()
    row, down = _between_tiles(plane.shape[0], tile_height)
    column, right = _between_tiles(plane.shape[1], tile_width)
    result = np.empty_like(plane)
    strip = max(1, STRIP // plane.shape[1])
    for top in range(0, len(plane), strip):
        rows = slice(top, top + strip)
        indices = (row[rows, None] * (tiles + 1) + column) * 256 + plane[rows]
        four = entries[indices].view(np.uint8).reshape(*indices.shape, 4)
        result[rows] = _blend(four, down[rows, None], right)
    return result


def _blend(four: Plane, down: Floats, right: Floats) -> Plane:
    """Bilinear interpolation between four levels [h, w, 4], in float32 and in OpenCV's order of operations."""
    left, up = np.float32(1) - right, np.float32(1) - down
    upper = four[..., 0] * left + four[..., 1] * right
    lower = four[..., 2] * left + four[..., 3] * right
    levels: Plane = np.rint(upper * up + lower * down).astype(np.uint8)
    return levels


def _between_tiles(length: int, tile: int) -> tuple[NDArray[np.int64], Floats]:
    """Return, for each pixel along a side, the tile centres before it and its distance from the last in tiles."""
    position = np.arange(length, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    before = np.floor(position)
    return before.astype(np.int64) + 1, position - before


def _tile_tables(plane: Plane, clip: float, tiles: int) -> tuple[Plane, int, int]:
    """Return the lookup table of each tile, uint8 [tiles, tiles, 256], and a tile's height and width in pixels."""
    height, width = plane.shape
    if height % tiles or width % tiles:  # both sides grow, also one that divides: so OpenCV does it
        plane = np.pad(plane, ((0, tiles - height % tiles), (0, tiles - width % tiles)), "reflect")
    tall, wide = plane.shape[0] // tiles, plane.shape[1] // tiles
    counts = np.empty((tiles * tiles, 256), dtype=np.int64)
    for index in range(tiles * tiles):
        top, left = index // tiles * tall, index % tiles * wide
        counts[index] = np.bincount(plane[top : top + tall, left : left + wide].ravel(), minlength=256)
    clipped = _redistribute(counts, max(int(clip * (tall * wide) / 256), 1))
    scale = np.float32(255) / np.float32(tall * wide)
    table = np.rint(clipped.cumsum(axis=1).astype(np.float32) * scale).astype(np.uint8)
    return table.reshape(tiles, tiles, 256), tall, wide


def _redistribute(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Histograms [n, 256] cut at `limit`; what was cut off is spread over all bins, its remainder at even steps."""
    kept = np.minimum(counts, limit)
    share, rest = np.divmod((counts - kept).sum(axis=1, keepdims=True), 256)
    step = np.maximum(256 // np.maximum(rest, 1), 1)
    bins = np.arange(256)
    spread: NDArray[np.int64] = kept + share + ((bins % step == 0) & (bins // step < rest))
    return spread
