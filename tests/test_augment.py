import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from infer.pixels import PixelSpec, centre_window
from trainer.augment import Augmentation
from trainer.config import Flips

PLAIN = 0.75
"""A draw for either flip that does not flip; one below 1/2 does."""
LEVEL, QUARTER, EIGHTH = 0.5, 0.75, 0.625
"""Draws for the angle: 0, 90 and 45 degrees counter-clockwise of at most 180."""

ROUNDING = 0.01
"""Grey levels: float32 knows a place on a canvas of 256 pixels to about 1e-5 of a pixel."""

SIZES = [
    ((37, 37), (32, 32)),
    ((40, 40), (33, 33)),
    ((41, 41), (33, 33)),
    ((48, 48), (32, 32)),
    ((32, 32), (32, 32)),
    ((37, 50), (32, 33)),
    ((256, 256), (224, 224)),
]


def spec_of(canvas: tuple[int, int], window: tuple[int, int]) -> PixelSpec:
    return PixelSpec(steps=(), canvas=canvas, window=window, reduced_decode=False)


def noise(n: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def augmented(
    canvases: NDArray[np.uint8], spec: PixelSpec, draw: tuple[float, float, float], flips: Flips = "both"
) -> NDArray[np.float32]:
    """Windows of canvases that all have the same draw, at most 180 degrees."""
    windows: Tensor = Augmentation(spec, 180.0, flips)(torch.tensor(canvases), torch.tensor([draw] * len(canvases)))
    assert windows.dtype == torch.float32
    return windows.numpy()


@pytest.mark.parametrize(("canvas", "window"), SIZES)
def test_without_rotation_and_flips_it_is_the_evaluation_window(
    canvas: tuple[int, int], window: tuple[int, int]
) -> None:
    spec = spec_of(canvas, window)
    canvases = noise(3, *canvas)
    augmentation = Augmentation(spec, 0.0, "none")
    windows = augmentation(torch.tensor(canvases), augmentation.draws(3, seed=0, epoch=1))
    assert windows.shape == (3, *window, 3)
    np.testing.assert_allclose(windows, centre_window(canvases, spec), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("canvas", "window"), SIZES)
@pytest.mark.parametrize(
    ("draw", "axes"), [((0.1, PLAIN), 2), ((PLAIN, 0.1), 1), ((0.1, 0.1), (1, 2)), ((PLAIN, PLAIN), ())]
)
def test_a_flip_is_numpys_flip_of_the_evaluation_window(
    canvas: tuple[int, int], window: tuple[int, int], draw: tuple[float, float], axes: tuple[int, ...]
) -> None:
    spec = spec_of(canvas, window)
    canvases = noise(2, *canvas)
    expected = np.flip(centre_window(canvases, spec), axes)
    np.testing.assert_allclose(augmented(canvases, spec, (LEVEL, *draw)), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("flips", "axes"), [("both", (1, 2)), ("horizontal", (2,)), ("vertical", (1,)), ("none", ())])
def test_only_the_flips_that_were_asked_for_are_made(flips: Flips, axes: tuple[int, ...]) -> None:
    spec = spec_of((37, 37), (32, 32))
    canvases = noise(2, 37, 37)
    expected = np.flip(centre_window(canvases, spec), axes)
    np.testing.assert_allclose(augmented(canvases, spec, (LEVEL, 0.1, 0.1), flips), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("canvas", "window"), [(48, 32), (41, 33), (32, 32)])
@pytest.mark.parametrize(("draw", "turns"), [(QUARTER, 1), (0.25, 3), (0.0, 2)])
def test_a_quarter_turn_is_numpys(canvas: int, window: int, draw: float, turns: int) -> None:
    spec = spec_of((canvas, canvas), (window, window))
    canvases = noise(2, canvas, canvas)
    expected = centre_window(np.rot90(canvases, turns, axes=(1, 2)), spec)
    np.testing.assert_allclose(augmented(canvases, spec, (draw, PLAIN, PLAIN)), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("degrees", [-170.0, -20.0, 7.5, 45.0, 133.0])
@pytest.mark.parametrize("canvas", [(72, 72), (73, 81)])
def test_a_rotation_is_pillows_cut_to_the_window(degrees: float, canvas: tuple[int, int]) -> None:
    spec = spec_of(canvas, (canvas[0] - 24, canvas[1] - 24))
    image = smooth(*canvas)
    planes = [Image.fromarray(image[:, :, c].astype(np.float32)) for c in range(3)]
    turned = [np.asarray(plane.rotate(degrees, Image.Resampling.BILINEAR)) for plane in planes]
    expected = centre_window(np.stack(turned, axis=-1), spec)
    away_from_edge = np.zeros(canvas, dtype=np.float32)  # there Pillow does not fade to black
    away_from_edge[2:-2, 2:-2] = 1
    inside = np.asarray(Image.fromarray(away_from_edge).rotate(degrees, Image.Resampling.BILINEAR))
    sure = centre_window(inside[:, :, None], spec)[..., 0] == 1
    window = augmented(image[None], spec, (0.5 + degrees / 360, PLAIN, PLAIN))[0]
    assert sure.mean() > 0.8
    np.testing.assert_allclose(window[sure], expected[sure], rtol=0, atol=0.1)


def test_a_flipped_image_is_the_mirror_image_of_the_rotated_one() -> None:
    spec = spec_of((72, 72), (40, 40))
    image = smooth(72, 72)[None]
    rotated, both = (augmented(image, spec, (0.5 + 30 / 360, mirror, PLAIN)) for mirror in (PLAIN, 0.1))
    np.testing.assert_allclose(both, rotated[:, :, ::-1], rtol=0, atol=ROUNDING)


def test_the_corners_of_a_rotated_window_are_the_canvass_pixels_there() -> None:
    """Each pixel of the canvas holds its own place, so the window tells where it was taken from."""
    canvas, window = 60, 40
    spec = spec_of((canvas, canvas), (window, window))
    places = np.stack(np.mgrid[:canvas, :canvas][::-1], axis=-1).astype(np.uint8)  # x, y
    image = np.concatenate([places, np.full((canvas, canvas, 1), 200, dtype=np.uint8)], axis=-1)
    seen = augmented(image[None], spec, (EIGHTH, PLAIN, PLAIN))[0]
    half = (window - 1) / 2
    y, x = np.mgrid[:window, :window] - half
    cosine, sine = np.cos(np.pi / 4), np.sin(np.pi / 4)
    middle = (canvas - 1) / 2
    np.testing.assert_allclose(seen[..., 0], middle + cosine * x - sine * y, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(seen[..., 1], middle + sine * x + cosine * y, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(seen[..., 2], 200, rtol=0, atol=ROUNDING)


def test_beyond_the_canvas_it_is_black() -> None:
    white = np.full((1, 40, 40, 3), 255, dtype=np.uint8)
    window = augmented(white, spec_of((40, 40), (40, 40)), (EIGHTH, PLAIN, PLAIN))[0]
    y, x = np.abs(np.mgrid[:40, :40] - 19.5)
    assert (window[x + y > 20 * 2**0.5 + 1.5] == 0).all()
    np.testing.assert_allclose(window[x + y < 20 * 2**0.5 - 1.5], 255, rtol=0, atol=ROUNDING)


def test_the_largest_angle_is_the_one_that_was_asked_for() -> None:
    spec = spec_of((48, 48), (32, 32))
    canvases = torch.tensor(smooth(48, 48)[None])
    for draw, degrees in ((1.0, 20), (0.0, -20)):
        narrow = Augmentation(spec, 20.0, "none")(canvases, torch.tensor([[draw, PLAIN, PLAIN]]))
        wide = Augmentation(spec, 180.0, "none")(canvases, torch.tensor([[0.5 + degrees / 360, PLAIN, PLAIN]]))
        torch.testing.assert_close(narrow, wide, rtol=0, atol=ROUNDING)


def test_a_samples_result_does_not_depend_on_its_batch() -> None:
    spec = spec_of((37, 37), (32, 32))
    augmentation = Augmentation(spec, 20.0, "both")
    canvases, draws = torch.tensor(noise(6, 37, 37)), augmentation.draws(6, seed=0, epoch=1)
    together = augmentation(canvases, draws)
    order = torch.tensor([4, 1])
    assert torch.equal(augmentation(canvases[order], draws[order]), together[order])
    assert torch.equal(augmentation(canvases[2:3], draws[2:3]), together[2:3])


def test_the_same_seed_and_epoch_give_the_same_draws_and_others_give_others() -> None:
    augmentation = Augmentation(spec_of((37, 37), (32, 32)), 20.0, "both")
    draws = augmentation.draws(50, seed=3, epoch=2)
    assert draws.shape == (50, 3)
    assert torch.equal(draws, augmentation.draws(50, seed=3, epoch=2))
    for seed, epoch in ((3, 3), (4, 2), (2, 3), (0, 0)):
        assert not torch.isclose(augmentation.draws(50, seed, epoch), draws).any(dim=1).all()


def test_draws_do_not_touch_the_global_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    Augmentation(spec_of((37, 37), (32, 32)), 20.0, "both").draws(5, seed=1, epoch=1)
    assert torch.equal(torch.rand(1), expected)


def test_each_flip_is_made_for_half_of_the_samples_whatever_the_other_does() -> None:
    quarters = np.array([[[10, 0, 0], [20, 0, 0]], [[30, 0, 0], [40, 0, 0]]], dtype=np.uint8)
    augmentation = Augmentation(spec_of((2, 2), (2, 2)), 0.0, "both")
    windows = augmentation(torch.tensor(np.stack([quarters] * 4000)), augmentation.draws(4000, seed=0, epoch=1))
    corner, counts = np.unique(np.round(windows[:, 0, 0, 0].numpy()), return_counts=True)
    assert corner.tolist() == [10, 20, 30, 40]
    assert (abs(counts - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5).all()
