import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from infer.images.preprocess import PixelSpec
from trainer.augment.geometry import inverse_map, resample, window_grids, window_positions
from trainer.augment.parse import parse_steps, reach
from trainer.augment.steps import Affine, Crop, Geometry, HFlip, ResizedCrop, Rotation, VFlip

EXACT = 0.02
"""Grey levels between two bilinear samplings of a smooth image in float32."""


def spec_of(canvas: tuple[int, int], window: tuple[int, int]) -> PixelSpec:
    return PixelSpec(steps=(), canvas=canvas, window=window, reduced_decode=False)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def moved(image: NDArray[np.uint8], step: Geometry, draws: Tensor, spec: PixelSpec) -> Tensor:
    """[n, 3, H, W] of one canvas."""
    canvases = torch.tensor(image).expand(len(draws), -1, -1, -1)
    return sampled(canvases, inverse_map(step, draws, spec), spec)


def sampled(canvases: Tensor, maps: Tensor, spec: PixelSpec) -> Tensor:
    return resample(canvases, window_grids(maps, spec), window_positions(spec, None))


def planes_of(image: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(image).permute(2, 0, 1).float()


def many(step: Geometry, n: int = 4000) -> Tensor:
    return torch.rand(n, step.columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("angle", "shift", "zoom", "shear"),
    [
        (0, (0, 0), 1, 0),
        (25, (0, 0), 1, 0),
        (0, (6, -3), 1, 0),
        (0, (0, 0), 1.25, 0),
        (0, (0, 0), 0.8, 0),
        (0, (0, 0), 1, 12),
        (-20, (-4, 5), 1.1, -8),
    ],
)
def test_affine_is_torchvisions(angle: float, shift: tuple[int, int], zoom: float, shear: float) -> None:
    height, width = 64, 80
    image, step = smooth(height, width), Affine(degrees=45, translate=0.125, zoom=0.25, shear=15)
    parts = (
        angle / 45,
        shift[0] / (0.125 * width),
        shift[1] / (0.125 * height),
        np.log(zoom) / np.log(1.25),
        shear / 15,
    )
    draws = torch.tensor([[(part + 1) / 2 for part in parts]], dtype=torch.float32)
    seen = moved(image, step, draws, spec_of((height, width), (height, width)))[0]
    with_mask = torch.cat([planes_of(image), torch.ones(1, height, width)])  # counts what lies beyond the canvas
    bilinear = InterpolationMode.BILINEAR
    expected = functional.affine(with_mask, -angle, list(shift), zoom, [shear, 0.0], bilinear)
    sure = expected[3] == 1
    assert sure.float().mean() > 0.5
    torch.testing.assert_close(seen[:, sure], expected[:3, sure], rtol=0, atol=EXACT)


@pytest.mark.parametrize("degrees", [-90, -33, 0, 12, 60])
def test_rotation_is_torchvisions(degrees: float) -> None:
    image = smooth(60, 60)
    draws = torch.tensor([[0.5 + degrees / 360]])
    seen = moved(image, Rotation(180), draws, spec_of((60, 60), (40, 40)))[0]
    turned = functional.rotate(planes_of(image), degrees, InterpolationMode.BILINEAR)
    inside = functional.rotate(torch.ones(1, 60, 60), degrees, InterpolationMode.BILINEAR)
    sure = functional.center_crop(inside, [40, 40])[0] == 1
    assert sure.float().mean() > 0.9
    torch.testing.assert_close(seen[:, sure], functional.center_crop(turned, [40, 40])[:, sure], rtol=0, atol=EXACT)


@pytest.mark.parametrize(("step", "axis"), [(HFlip(), 2), (VFlip(), 1)])
def test_a_flip_is_the_mirror_image_of_the_window(step: Geometry, axis: int) -> None:
    image = smooth(41, 50)
    seen = moved(image, step, torch.zeros(2, 0), spec_of((41, 50), (32, 33)))
    expected = planes_of(image)[:, 4:36, 8:41].flip(axis)
    torch.testing.assert_close(seen, expected.expand(2, -1, -1, -1), rtol=0, atol=EXACT)


@pytest.mark.parametrize("padding", [0, 2])
def test_a_crop_is_a_cut_of_the_padded_canvas_and_every_place_is_equally_likely(padding: int) -> None:
    spec = spec_of((9, 8), (6, 7))
    image = np.random.default_rng(0).integers(1, 256, (9, 8, 3), dtype=np.uint8)
    step = Crop(padding)
    seen = moved(image, step, many(step), spec).round().int()
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    places = [(top, left) for top in range(4 + 2 * padding) for left in range(2 + 2 * padding)]
    cuts = torch.tensor(np.stack([padded[top : top + 6, left : left + 7] for top, left in places])).permute(0, 3, 1, 2)
    same = (seen[:, None] == cuts.int()[None]).flatten(2).all(dim=2)
    assert (same.sum(dim=1) == 1).all()
    share = 1 / len(places)
    assert (abs(same.float().mean(dim=0) - share) < 5 * (share * (1 - share) / 4000) ** 0.5).all()


def test_the_last_float_below_1_is_the_last_place_and_no_further_one() -> None:
    last = torch.full((1, 2), float(np.nextafter(np.float32(1), np.float32(0))))
    for size in range(33, 300):
        maps = inverse_map(Crop(), last, spec_of((size, size + 1), (32, 32)))
        assert maps[0, :2, 2].tolist() == [size + 1 - 32 - (size + 1 - 32) // 2, size - 32 - (size - 32) // 2]


@pytest.mark.parametrize("canvas", [(64, 64), (60, 90)])
def test_a_resized_crop_stays_in_the_canvas_and_has_the_share_and_shape_that_were_asked_for(
    canvas: tuple[int, int],
) -> None:
    spec, step = spec_of(canvas, (48, 40)), ResizedCrop(0.1, 0.4, 1.5)
    maps = inverse_map(step, many(step), spec).double()
    width, height = maps[:, 0, 0] * 40, maps[:, 1, 1] * 48
    share, ratio = width * height / (canvas[0] * canvas[1]), width / height
    assert 0.1 - 1e-6 < share.min() < 0.101
    assert 0.399 < share.max() < 0.4 + 1e-6
    assert abs(share.mean() - 0.25) < 5 * 0.3 / 12**0.5 / 4000**0.5
    assert 1 / 1.5 - 1e-6 < ratio.min() < 1 / 1.49
    assert 1.49 < ratio.max() < 1.5 + 1e-6
    assert abs(ratio.log().mean()) < 5 * np.log(1.5) / 3**0.5 / 4000**0.5
    top, left = (canvas[0] - 48) // 2, (canvas[1] - 40) // 2
    for size, extent, middle in (
        (canvas[1], width, left + 20 + maps[:, 0, 2]),
        (canvas[0], height, top + 24 + maps[:, 1, 2]),
    ):
        assert (middle - extent / 2).min() > -1e-4
        assert (middle + extent / 2).max() < size + 1e-4
        assert (middle - extent / 2).min() < 0.5
        assert (middle + extent / 2).max() > size - 0.5


def test_a_resized_crop_shows_what_torchvisions_shows() -> None:
    """The middle 32 x 32 of 64 x 64, to 48 x 48: the share is a quarter. At its edge torchvision repeats pixels."""
    image = smooth(64, 64)
    seen = moved(image, ResizedCrop(0.25, 0.25), torch.full((1, 4), 0.5), spec_of((64, 64), (48, 48)))[0]
    expected = functional.resized_crop(planes_of(image), 16, 16, 32, 32, [48, 48], antialias=False)
    torch.testing.assert_close(seen[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=0, atol=EXACT)


def test_a_side_longer_than_the_canvas_is_cut_to_it() -> None:
    spec = spec_of((64, 64), (64, 64))
    maps = inverse_map(ResizedCrop(1, 1, 4), torch.tensor([[0.5, 1.0, 0.5, 0.5]]), spec)
    torch.testing.assert_close(maps[0].diag()[:2], torch.tensor([1.0, 0.5]))


def test_the_zooms_factor_is_log_uniform() -> None:
    step = Affine(zoom=0.5)
    factor = 1 / inverse_map(step, many(step), spec_of((40, 40), (32, 32)))[:, 0, 0]
    assert 1 / 1.5 - 1e-5 < factor.min() < 0.67
    assert 1.49 < factor.max() < 1.5 + 1e-5
    assert abs(factor.log().mean()) < 5 * np.log(1.5) / 3**0.5 / 4000**0.5


@pytest.mark.parametrize(
    "text",
    ["rotation(20)", "rotation(90)", "affine(10, 0.1, 0.2, 5)", "affine(translate=0.3)", "affine(zoom=0.3, shear=10)"],
)
def test_no_window_looks_further_than_the_reach_says_nor_much_less_far(text: str) -> None:
    (step,) = parse_steps([text])
    assert isinstance(step, Geometry)
    maps = inverse_map(step, many(step), spec_of((64, 64), (32, 32)))
    corners = torch.tensor([[x, y, 1.0] for x in (-16, 16) for y in (-16, 16)])
    seen = (maps @ corners.T)[:, :2].abs().max() / 16
    assert 0.8 * reach([step]) < seen <= reach([step]) + 1e-5


def test_one_step_after_another_is_the_product_in_that_order() -> None:
    """Turned and then shifted is not shifted and then turned."""
    image, spec = smooth(80, 80), spec_of((80, 80), (80, 80))
    turn = inverse_map(Rotation(40), torch.tensor([[1.0]]), spec)
    shift = inverse_map(Affine(translate=0.25), torch.tensor([[0.5, 1.0, 0.5, 0.5, 0.5]]), spec)
    seen = sampled(torch.tensor(image)[None], turn @ shift, spec)[0]
    turned = functional.rotate(planes_of(image), 40, InterpolationMode.BILINEAR)
    torch.testing.assert_close(seen[:, 25:55, 40:55], turned[:, 25:55, 20:35], rtol=0, atol=EXACT)
