from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from infer.core.errors import ConfigError
from infer.images.enhance import Clahe, MeanFilter, Unsharp, WhiteBalance
from infer.images.preprocess import CenterCrop, PixelSpec, Resize, ResizeLonger, read_canvas, read_window
from trainer.data.pixel_spec import parse_enhance, pixel_spec

ROTATED = 1.2817
"""How far a rotation by 20 degrees looks: cos 20 + sin 20."""


def settings(image_size: int, **changes: object) -> SimpleNamespace:
    plain = {
        "image_size": image_size,
        "fit": "shorter",
        "crop": None,
        "enhance": (),
        "bits": "16",
        "dicom_window": "file",
    }
    return SimpleNamespace(**{**plain, **changes})


def test_the_window_of_the_settings_is_the_specs() -> None:
    assert pixel_spec(settings(32, dicom_window="40/400"), 1.0).dicom_window == "40/400"


@pytest.mark.parametrize(("bits", "number"), [("8", 8), ("12", 12), ("16", 16), ("auto", 16)])
def test_the_bits_of_the_settings_are_the_specs_and_auto_is_all_until_the_images_were_seen(
    bits: str, number: int
) -> None:
    assert pixel_spec(settings(32, bits=bits), 1.0).bits == number


def photo(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [32, 96, 224])
@pytest.mark.parametrize("reach", [1.0, 2.0])
def test_without_anything_asked_for_the_view_is_the_default(size: int, reach: float) -> None:
    assert pixel_spec(settings(size), reach) == PixelSpec.default(size)


def test_enhancement_comes_first_and_is_done_to_the_files_own_pixels() -> None:
    spec = pixel_spec(settings(32, enhance=("clahe(3, 9), white_balance", "unsharp(3, strength=1.5)")), 1.0)
    default = PixelSpec.default(32)
    assert spec.steps == (Clahe(3, 9), WhiteBalance(), Unsharp(3, 1.5), *default.steps)
    assert (spec.canvas, spec.window, spec.reduced_decode) == (default.canvas, default.window, False)


def test_the_longer_side_fits_the_window_with_black_beside(tmp_path: Path) -> None:
    photo(60, 40).save(tmp_path / "a.png")
    spec = pixel_spec(settings(33, fit="longer"), 2.0)
    assert (spec.steps, spec.canvas, spec.reduced_decode) == ((ResizeLonger(33),), (33, 33), True)
    window = read_window(str(tmp_path / "a.png"), spec)
    assert (window[:6] == 0).all()
    assert (window[28:] == 0).all()
    expected = photo(60, 40).resize((33, 22), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(window[6:28], np.asarray(expected))


def test_a_stretched_image_is_the_window(tmp_path: Path) -> None:
    photo(60, 40).save(tmp_path / "a.png")
    spec = pixel_spec(settings(32, fit="stretch"), 2.0)
    assert (spec.steps, spec.canvas, spec.reduced_decode) == ((Resize(32, 32),), (32, 32), True)
    expected = photo(60, 40).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_window(str(tmp_path / "a.png"), spec), np.asarray(expected))


@pytest.mark.parametrize(
    ("crop", "size", "reach", "cut", "canvas"),
    [
        (350, 350, ROTATED, 450, 450),
        (270, 224, ROTATED, 405, 336),
        (270, 128, ROTATED, 405, 192),
        (350, 350, 1.0, 350, 350),
        (350, 350, 0.0, 350, 350),
        (350, 350, 1 + 1e-12, 350, 350),
        (270, 224, 1.0, 270, 224),
        (448, 224, 1.25, 560, 280),
    ],
)
def test_a_crop_has_a_canvas_as_large_as_augmentation_reaches(
    crop: int, size: int, reach: float, cut: int, canvas: int
) -> None:
    spec = pixel_spec(settings(size, crop=crop, fit="longer"), reach)
    resize = () if cut == canvas else (Resize(canvas, canvas),)
    assert spec.steps == (CenterCrop(cut, cut), *resize)
    assert (spec.canvas, spec.window, spec.reduced_decode) == ((canvas, canvas), (size, size), False)


@pytest.mark.parametrize("size", [32, 45, 97, 224])
@pytest.mark.parametrize("crop", [31, 64, 271, 350])
@pytest.mark.parametrize("reach", [1.0, 1.1, ROTATED, 2.0])
def test_every_canvas_holds_its_reach_and_is_to_the_window_as_its_cut_is_to_the_crop(
    size: int, crop: int, reach: float
) -> None:
    spec = pixel_spec(settings(size, crop=crop), reach)
    assert isinstance(spec.steps[0], CenterCrop)
    side, cut = spec.canvas[0], spec.steps[0].width
    assert size * reach <= side <= max(1.35 * size * reach, size * reach + 2)
    assert (side - size) % 2 == 0  # one centre
    assert abs(cut - crop * side / size) <= 1
    assert cut * size == crop * side or (cut - crop) % 2 == 0


def difference(path: Path, crop: int, size: int, reach: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """An image's view minus the same made with Pillow (enhance, centre crop, resize), the crop shifted by a few pixels.

    The edges are left out: a crop has no neighbours there.
    """
    image = Image.open(path)
    asked = settings(size, crop=crop, enhance=("white_balance, clahe(2, 3)",))
    left, top = (image.width - crop) // 2 + shift[0], (image.height - crop) // 2 + shift[1]
    box = (left, top, left + crop, top + crop)
    plain = Clahe(2, 3)(WhiteBalance()(image)).resize((size, size), Image.Resampling.BILINEAR, box)
    window = read_window(str(path), pixel_spec(asked, reach))
    return np.abs(window.astype(int) - np.asarray(plain))[2:-2, 2:-2]


@pytest.mark.parametrize(
    ("crop", "size", "reach"), [(60, 60, ROTATED), (60, 48, 1.0), (60, 40, ROTATED), (54, 45, 1.2), (31, 62, 1.1)]
)
@pytest.mark.parametrize(("width", "height"), [(120, 102), (101, 90)])
def test_the_window_is_the_enhanced_crop_resized(
    crop: int, size: int, reach: float, width: int, height: int, tmp_path: Path
) -> None:
    photo(width, height).save(tmp_path / "a.png")
    assert difference(tmp_path / "a.png", crop, size, reach).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(120, 102), (101, 90)])
def test_a_crop_whose_parity_no_canvas_has_is_half_a_pixel_beside(width: int, height: int, tmp_path: Path) -> None:
    photo(width, height).save(tmp_path / "a.png")
    halves = [(x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    assert min(difference(tmp_path / "a.png", 54, 40, ROTATED, half).max() for half in halves) <= 1


def test_a_crop_that_no_canvas_fits_is_nearly_so(tmp_path: Path) -> None:
    photo(120, 101).save(tmp_path / "a.png")
    assert 0 < difference(tmp_path / "a.png", 61, 40, ROTATED).mean() < 1


def test_a_canvas_beyond_the_image_is_black_there(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "white").save(tmp_path / "a.png")
    canvas = read_canvas(str(tmp_path / "a.png"), pixel_spec(settings(16, crop=16), 1.5))
    assert canvas.shape == (24, 24, 3)
    assert (canvas[2:22, 2:22] == 255).all()
    assert canvas.sum() == 255 * 3 * 20 * 20


def test_enhancement_is_read_in_order_over_all_texts() -> None:
    steps = parse_enhance(("mean_filter(3), clahe(clip=4.0, tiles=8)", "", "unsharp(12, 5)"))
    assert steps == (MeanFilter(3), Clahe(4.0, 8), Unsharp(12, 5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clahe(-1, 8)", "--enhance: clahe: clip must be above 0 and at most 256, got -1"),
        ("clahe(3)", r"--enhance: clahe takes \(clip, tiles\)"),
        ("clahe(unsharp, 8)", "--enhance: clahe: clip must be above 0"),
        ("sharpen(3)", "--enhance: unknown step sharpen; choose one of clahe, unsharp, white_balance, mean_filter"),
        ("white_balance @ 0.5", "--enhance: white_balance applies to every image, in prediction too; leave @ out"),
        ("clahe(3, 9", "--enhance must be steps"),
    ],
)
def test_what_is_no_enhancement_is_one_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pixel_spec(settings(32, enhance=(text,)), 1.0)
