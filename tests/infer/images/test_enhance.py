import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infer.images.enhance import ENHANCEMENTS, Clahe, Enhancement, MeanFilter, Unsharp, WhiteBalance

Array = NDArray[np.uint8]


def picture(height: int, width: int) -> Array:
    """Smooth colours of low contrast with noise on them, uint8 [height, width, 3]."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (6, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return (smooth // 2 + random.integers(20, 60, smooth.shape)).astype(np.uint8)


def enhanced(step: Enhancement, pixels: Array) -> NDArray[np.int64]:
    image = step(Image.fromarray(pixels))
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("height", "width", "clip", "tiles"),
    [
        (90, 90, 3, 9),  # divides
        (64, 48, 2.5, 8),
        (65, 63, 2, 8),  # does not
        (48, 61, 4, 8),  # one side divides
        (61, 48, 4.0, 8),
        (45, 80, 40, 3),
        (61, 50, 0.01, 7),
        (33, 100, 0.5, 1),
        (5, 7, 3, 9),  # smaller than the number of tiles
        (1, 30, 3, 4),
        (30, 1, 256, 4),
        (300, 270, 3, 9),  # more than one strip
    ],
)
def test_clahe_is_opencvs_on_each_channel(height: int, width: int, clip: float, tiles: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference")
    pixels = picture(height, width)
    reference = cv2.createCLAHE(clip, (tiles, tiles))
    expected = np.stack([reference.apply(np.ascontiguousarray(pixels[..., i])) for i in range(3)], axis=-1)
    difference = np.abs(enhanced(Clahe(clip, tiles), pixels) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3  # none, except where a processor multiplies and adds in one rounding


def test_clahe_of_one_tile_without_a_limit_is_histogram_equalisation() -> None:
    pixels = picture(40, 30)
    share = np.stack([(pixels[..., i, None] <= np.arange(256)).mean(axis=(0, 1)) for i in range(3)])
    expected = np.stack([share[i][pixels[..., i]] * 255 for i in range(3)], axis=-1)
    assert np.abs(enhanced(Clahe(256, 1), pixels) - expected).max() <= 0.51


@pytest.mark.parametrize(("sigma", "strength", "mean", "most"), [(3, 1.5, 0.6, 5), (12, 5, 1.4, 9), (1, 1.0, 0.6, 3)])
def test_an_unsharp_mask_adds_the_difference_to_the_gaussian_blur(
    sigma: float, strength: float, mean: float, most: float
) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference")
    pixels = picture(160, 200)
    blurred = cv2.GaussianBlur(pixels.astype(float), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    expected = np.clip(pixels + strength * (pixels - blurred), 0, 255)
    difference = np.abs(enhanced(Unsharp(sigma, strength), pixels) - expected)
    inner = difference[30:-30, 30:-30]
    assert difference.mean() < mean
    assert inner.max() < most
    assert np.abs(pixels - expected).mean() > 5 * mean  # what the filter does is much more than its error


def test_an_unsharp_mask_leaves_one_colour_as_it_is() -> None:
    pixels = np.full((20, 30, 3), (7, 99, 250), np.uint8)
    np.testing.assert_array_equal(enhanced(Unsharp(12, 5), pixels), pixels)


def test_white_balance_scales_each_channel_to_the_overall_mean() -> None:
    pixels = picture(40, 50)
    pixels[..., 2] //= 2
    means = pixels.mean(axis=(0, 1))
    expected = np.clip(pixels * (means.mean() / means), 0, 255)
    assert np.abs(enhanced(WhiteBalance(), pixels) - expected).max() <= 0.5 + 1e-9


def test_white_balance_clips_what_grows_beyond_white() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0], pixels[0, 0, 2] = 200, 200  # means 200, 0, 50; overall 83.3
    balanced = enhanced(WhiteBalance(), pixels)
    assert balanced[0, 0].tolist() == [83, 0, 255]


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 90, 0), (255, 255, 255)])
def test_white_balance_of_black_channels_is_black_and_of_grey_grey(colour: tuple[int, int, int]) -> None:
    balanced = enhanced(WhiteBalance(), np.full((4, 5, 3), colour, np.uint8))
    assert (balanced == [round(sum(colour) / 3) if value else 0 for value in colour]).all()


@pytest.mark.parametrize("size", [3, 5, 31, 99])
def test_a_mean_filter_is_the_mean_of_the_square_around_each_pixel(size: int) -> None:
    pixels = picture(24, 40)
    padded = np.pad(pixels, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)), "edge").astype(float)
    squares = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))
    assert np.abs(enhanced(MeanFilter(size), pixels) - squares.mean(axis=(3, 4))).max() < 1.01  # its two passes round


@pytest.mark.parametrize("name", ENHANCEMENTS)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 2)])
def test_an_image_keeps_its_size_however_small(name: str, size: tuple[int, int]) -> None:
    arguments = {"clahe": (3, 9), "unsharp": (12, 5), "white_balance": (), "mean_filter": (31,)}[name]
    assert ENHANCEMENTS[name](*arguments)(Image.new("RGB", size, "olive")).size == size


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Clahe, (-1, 8), "clip must be above 0 and at most 256, got -1"),
        (Clahe, (float("nan"), 8), "clip must be above 0"),
        (Clahe, (float("inf"), 8), "clip must be above 0"),
        (Clahe, ("3", 8), "clip must be above 0"),
        (Clahe, (True, 8), "clip must be above 0"),
        (Clahe, (3, 0), "tiles must be a whole number from 1 to 64, got 0"),
        (Clahe, (3, 65), "tiles must be a whole number from 1 to 64"),
        (Clahe, (3, 8.0), "tiles must be a whole number"),
        (Unsharp, (0, 1), "sigma must be above 0 and at most 1000, got 0"),
        (Unsharp, (3, 10**400), "strength must be above 0 and at most 100"),
        (Unsharp, (3, None), "strength must be above 0"),
        (MeanFilter, (4,), "size must be an odd number from 3 to 999, got 4"),
        (MeanFilter, (1,), "size must be an odd number"),
        (MeanFilter, (5.0,), "size must be an odd number"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(kind: type[Enhancement], arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(*arguments)
