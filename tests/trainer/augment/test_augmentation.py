import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2 import functional

from infer.images.preprocess import PixelSpec, centre_window
from trainer.augment.augmentation import Augmentation
from trainer.augment.parse import parse_steps

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


def of(text: str, spec: PixelSpec) -> Augmentation:
    return Augmentation(parse_steps([text]), spec)


def augmented(canvases: NDArray[np.uint8], spec: PixelSpec, draw: tuple[float, float, float]) -> NDArray[np.float32]:
    """Windows of canvases that all have the same draws: of the angle, at most 180 degrees, and of both flips."""
    augmentation = of("rotation(180), hflip, vflip", spec)
    windows: Tensor = augmentation(torch.tensor(canvases), augmentation.plan(torch.tensor([draw] * len(canvases))))
    assert windows.dtype == torch.float32
    return windows.numpy()


@pytest.mark.parametrize(("canvas", "window"), SIZES)
@pytest.mark.parametrize("text", ["", "mixup(0.2)", "erasing @ 0"])
def test_without_geometry_and_colour_it_is_the_evaluation_window_bit_for_bit(
    canvas: tuple[int, int], window: tuple[int, int], text: str
) -> None:
    spec, canvases = spec_of(canvas, window), noise(3, *canvas)
    augmentation = of(text, spec)
    windows = augmentation(torch.tensor(canvases), augmentation.plan(augmentation.draws(3, seed=0, epoch=1)))
    assert windows.dtype == torch.float32
    np.testing.assert_array_equal(windows, centre_window(canvases, spec))


@pytest.mark.parametrize(("canvas", "window"), SIZES)
@pytest.mark.parametrize(
    "text",
    [
        "rotation(0)",
        "rotation(90) @ 0",
        "affine(30, 0.1, 0.1, 5)",
        "random_order(rotation(90), hflip @ 0)",
        "jitter(0.3, 0.3, 0.3, 0.3)",
        "resized_crop(0.5) @ 0, grayscale @ 0, temperature(0.5)",
    ],
)
def test_with_neutral_draws_it_is_the_evaluation_window(
    canvas: tuple[int, int], window: tuple[int, int], text: str
) -> None:
    spec, canvases = spec_of(canvas, window), noise(3, *canvas)
    augmentation = of(text, spec)
    windows = augmentation(torch.tensor(canvases), augmentation.plan(torch.full((3, augmentation.columns), 0.5)))
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
        narrow, wide = of("rotation(20)", spec), of("rotation(180)", spec)
        seen = narrow(canvases, narrow.plan(torch.tensor([[draw]])))
        expected = wide(canvases, wide.plan(torch.tensor([[0.5 + degrees / 360]])))
        torch.testing.assert_close(seen, expected, rtol=0, atol=ROUNDING)


EVERYTHING = (
    "random_order(rotation(20), hflip, crop(2), jitter(0.2, 0.2, 0.2, 0.1)), affine(5, 0.1, 0.1, 5) @ 0.5, "
    "one_of(resized_crop(0.5), grayscale, temperature(0.2), erasing) @ 0.7, erasing(fill=9), "
    "one_of(mixup(0.2), cutmix(1), vflip)"
)


def test_a_samples_result_does_not_depend_on_its_batch() -> None:
    augmentation = of(EVERYTHING, spec_of((37, 37), (32, 32)))
    canvases, draws = torch.tensor(noise(9, 37, 37)), augmentation.draws(9, seed=0, epoch=1)
    together = augmentation(canvases, augmentation.plan(draws))
    order = torch.tensor([4, 1])
    assert torch.equal(augmentation(canvases[order], augmentation.plan(draws[order])), together[order])
    assert torch.equal(augmentation(canvases[2:3], augmentation.plan(draws[2:3])), together[2:3])
    mixed, shares = augmentation.mix(together, augmentation.plan(draws))
    assert mixed.shape == (8, 32, 32, 3)
    some, its = augmentation.mix(together[3:5], augmentation.plan(draws[3:5]))
    assert torch.equal(some[0], mixed[3])
    assert its[0] == shares[3]


def test_the_same_seed_and_epoch_give_the_same_draws_and_others_give_others() -> None:
    augmentation = of(EVERYTHING, spec_of((37, 37), (32, 32)))
    draws = augmentation.draws(50, seed=3, epoch=2)
    assert draws.shape == (50, augmentation.columns)
    assert draws.dtype == torch.float32
    assert torch.equal(draws, augmentation.draws(50, seed=3, epoch=2))
    for seed, epoch in ((3, 3), (4, 2), (2, 3), (0, 0)):
        assert not torch.isclose(augmentation.draws(50, seed, epoch), draws).all(dim=0).any()


def test_a_samples_draws_do_not_depend_on_how_many_there_are() -> None:
    augmentation = of(EVERYTHING, spec_of((37, 37), (32, 32)))
    assert torch.equal(augmentation.draws(7, seed=3, epoch=2), augmentation.draws(1000, seed=3, epoch=2)[:7])


def test_columns_are_uniform_and_independent_except_those_of_mixing() -> None:
    augmentation = of("rotation(20), hflip, random_order(crop, jitter(1, 1))", spec_of((37, 37), (32, 32)))
    draws = augmentation.draws(20_000, seed=0, epoch=1).double().numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    correlations = np.corrcoef(draws.T) - np.eye(augmentation.columns)
    assert np.abs(correlations).max() < 5 / 20_000**0.5
    shares = of("mixup(0.6)", spec_of((37, 37), (32, 32))).draws(20_000, seed=0, epoch=1)[:, 0].double().numpy()
    assert stats.kstest(shares, stats.beta(0.6, 0.6).cdf).pvalue > 1e-4


def test_draws_do_not_touch_the_global_generators() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    of(EVERYTHING, spec_of((37, 37), (32, 32))).draws(5, seed=1, epoch=1)
    assert (torch.rand(1), np.random.rand()) == expected


QUARTERS = np.array([[[10, 0, 0], [20, 0, 0]], [[30, 0, 0], [40, 0, 0]]], dtype=np.uint8)
"""The corner that is seen at the upper left tells which flips were made."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hflip, vflip", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ("hflip @ 0.3", [0.7, 0.3, 0, 0]),
        ("vflip @ 1", [0, 0, 1, 0]),
        ("one_of(hflip @ 1, vflip @ 1)", [0, 1 / 2, 1 / 2, 0]),
        ("one_of(hflip @ 1, vflip @ 1, grayscale)", [1 / 3, 1 / 3, 1 / 3, 0]),
        ("one_of(hflip @ 1, random_order(hflip @ 1, vflip @ 1)) @ 0.6", [0.4, 0.3, 0, 0.3]),
        ("random_order(hflip, vflip @ 0.2)", [0.4, 0.4, 0.1, 0.1]),
    ],
)
def test_steps_are_taken_as_often_as_the_text_says(text: str, expected: list[float]) -> None:
    augmentation = of(text, spec_of((2, 2), (2, 2)))
    windows = augmentation(
        torch.tensor(np.stack([QUARTERS] * 4000)), augmentation.plan(augmentation.draws(4000, seed=0, epoch=1))
    )
    red, green = windows[:, 0, 0, 0].numpy(), windows[:, 0, 0, 1].numpy()
    grey = green > 1
    corner = np.round(np.where(grey, red / 0.299, red))
    for level, share in zip((10, 20, 30, 40), expected, strict=True):
        assert abs((corner == level).mean() - share) <= 5 * (share * (1 - share) / 4000) ** 0.5, level
    assert grey.mean() == pytest.approx(1 / 3 if "grayscale" in text else 0, abs=0.04)


def test_one_step_in_one_of_is_taken_and_no_other() -> None:
    spec = spec_of((24, 24), (16, 16))
    choices = ("rotation(90)", "crop", "grayscale", "contrast(0.5)", "erasing(0.2)")
    augmentation = of(f"one_of({', '.join(choices)})", spec)
    draws = augmentation.draws(60, seed=0, epoch=1)
    canvases = torch.tensor(np.stack([smooth(24, 24)] * 60))
    windows, first = augmentation(canvases, augmentation.plan(draws)), 1
    for number, text in enumerate(choices):
        alone = of(text, spec)
        rows = (draws[:, 0] * len(choices)).floor() == number
        assert 3 < rows.sum() < 30
        expected = alone(canvases[rows], alone.plan(draws[rows, first : first + alone.columns]))
        torch.testing.assert_close(windows[rows], expected, rtol=0, atol=ROUNDING)
        first += alone.columns


@pytest.mark.parametrize(
    "texts", [("rotation(90)", "affine(translate=0.2)", "hflip @ 1"), ("hue(0.5)", "temperature(0.3)", "contrast(0.9)")]
)
def test_a_random_order_is_every_order_equally_often_each_the_steps_one_after_another(texts: tuple[str, ...]) -> None:
    spec = spec_of((48, 48), (32, 32))
    augmentation = of(f"random_order({', '.join(texts)})", spec)
    starts = np.cumsum([3] + [of(text, spec).columns for text in texts])
    draws = augmentation.draws(1200, seed=0, epoch=1)
    orders = draws[:, :3].argsort(dim=1)
    canvases = torch.tensor(smooth(48, 48)[None]).expand(2, -1, -1, -1)
    for order in itertools.permutations(range(3)):
        rows = torch.where((orders == torch.tensor(order)).all(dim=1))[0]
        assert abs(len(rows) - 200) < 5 * (1200 / 6 * 5 / 6) ** 0.5
        written = of(", ".join(texts[number] for number in order), spec)
        its = torch.cat([draws[rows[:2], starts[number] : starts[number + 1]] for number in order], dim=1)
        seen = augmentation(canvases, augmentation.plan(draws[rows[:2]]))
        torch.testing.assert_close(seen, written(canvases, written.plan(its)), rtol=0, atol=ROUNDING)


def test_a_random_order_of_several_groups_is_geometry_then_colour_then_erasing() -> None:
    spec = spec_of((48, 48), (32, 32))
    augmentation = of("random_order(erasing(0.2, fill=200), brightness(0.5), rotation(90))", spec)
    draws = augmentation.draws(20, seed=0, epoch=1)
    canvases = torch.tensor(np.stack([smooth(48, 48)] * 20))
    in_order = of("rotation(90), brightness(0.5), erasing(0.2, fill=200)", spec)
    expected = in_order(canvases, in_order.plan(draws[:, [8, 7, 3, 4, 5, 6]]))
    torch.testing.assert_close(augmentation(canvases, augmentation.plan(draws)), expected, rtol=0, atol=ROUNDING)
    assert ((expected == 200).float().mean(dim=(1, 2, 3)) > 0.18).all()


def test_jitter_is_torchvisions_steps_in_each_samples_order() -> None:
    spec = spec_of((40, 40), (32, 32))
    canvases = torch.tensor(np.stack([smooth(40, 40) // 4 + 96] * 12))
    augmentation = of("jitter(0.2, 0.3, 0.4)", spec)
    draws = augmentation.draws(12, seed=0, epoch=1)
    steps = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
    for row, window in zip(draws, augmentation(canvases, augmentation.plan(draws)), strict=True):
        image = canvases[0, 4:36, 4:36].permute(2, 0, 1) / 255
        for number in row[:3].argsort().tolist():
            image = steps[number](image, 1 + (row[3 + number].item() * 2 - 1) * (0.2, 0.3, 0.4)[number])
        torch.testing.assert_close(window.permute(2, 0, 1), image * 255, rtol=0, atol=0.1)


def test_later_erasings_lie_on_top() -> None:
    augmentation = of("erasing(1, 1, 1, 7), erasing(1, 1, 1, 9)", spec_of((8, 8), (8, 8)))
    assert (augmentation(torch.tensor(noise(2, 8, 8)), augmentation.plan(augmentation.draws(2, 0, 1))) == 9).all()


def test_mixup_blends_each_sample_with_the_next_by_its_own_share() -> None:
    augmentation = of("mixup(0.4)", spec_of((8, 8), (8, 8)))
    assert augmentation.mixes
    windows, draws = torch.tensor(noise(6, 8, 8)).float(), augmentation.draws(6, seed=0, epoch=1)
    mixed, shares = augmentation.mix(windows, augmentation.plan(draws))
    torch.testing.assert_close(shares, draws[:5, 0])
    for i, share in enumerate(shares.tolist()):
        expected = share * windows[i] + (1 - share) * windows[i + 1]
        torch.testing.assert_close(mixed[i], expected, rtol=0, atol=ROUNDING)


def test_cutmixs_share_is_that_of_the_pixels_that_are_the_samples_own() -> None:
    augmentation = of("cutmix(1)", spec_of((9, 11), (9, 11)))
    draws = augmentation.draws(200, seed=0, epoch=1)
    levels = torch.arange(200.0)[:, None, None, None].expand(-1, 9, 11, 3)
    mixed, shares = augmentation.mix(levels, augmentation.plan(draws))
    own = (mixed == levels[:-1]).all(dim=-1)
    assert (own | (mixed == levels[1:]).all(dim=-1)).all()
    torch.testing.assert_close(shares, own.float().mean(dim=(1, 2)))
    assert shares.min() < 0.3
    assert shares.max() > 0.9


def test_one_of_applies_each_mixing_equally_often_and_with_its_probability() -> None:
    augmentation = of("one_of(mixup(1), cutmix(1)) @ 0.5", spec_of((12, 12), (12, 12)))
    levels = (torch.arange(1000.0) % 2)[:, None, None, None].expand(-1, 12, 12, 3)
    mixed, shares = augmentation.mix(levels, augmentation.plan(augmentation.draws(1000, seed=0, epoch=1)))
    whole = (mixed == levels[:-1]).all(dim=-1).all(dim=-1).all(dim=-1)
    blended = ((mixed > 0) & (mixed < 1)).all(dim=-1).all(dim=-1).all(dim=-1)
    assert abs(blended.float().mean() - 0.25) < 0.07
    assert 0.43 < whole.float().mean() < 0.6  # a cutmix rectangle may be empty
    assert (shares[whole] == 1).all()
    assert (shares[~whole] < 1).all()


def test_without_mixing_every_sample_keeps_its_own() -> None:
    augmentation = of("hflip", spec_of((8, 8), (8, 8)))
    assert not augmentation.mixes
    windows = torch.tensor(noise(3, 8, 8)).float()
    mixed, shares = augmentation.mix(windows, augmentation.plan(augmentation.draws(3, seed=0, epoch=1)))
    assert torch.equal(mixed, windows[:2])
    assert shares.tolist() == [1, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
def test_on_a_gpu_it_waits_for_nothing_and_gives_what_the_cpu_gives() -> None:
    augmentation = of(EVERYTHING, spec_of((37, 37), (32, 32)))
    canvases, draws = torch.tensor(noise(9, 37, 37)), augmentation.draws(9, seed=0, epoch=1)
    there, its = canvases.cuda(), draws.cuda()
    augmentation = Augmentation(parse_steps([EVERYTHING]), spec_of((37, 37), (32, 32)), torch.device("cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        windows = augmentation(there, augmentation.plan(its))
        mixed, shares = augmentation.mix(windows, augmentation.plan(its))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    augmentation = of(EVERYTHING, spec_of((37, 37), (32, 32)))
    expected = augmentation(canvases, augmentation.plan(draws))
    # noise is steep: the last bit of a place counts, and may decide over the edge of a rectangle
    assert ((windows.cpu() - expected).abs() > 0.1).float().mean() < 0.01
    same, of_same = augmentation.mix(expected, augmentation.plan(draws))
    assert ((mixed.cpu() - same).abs() > 0.1).float().mean() < 0.01
    torch.testing.assert_close(shares.cpu(), of_same)
