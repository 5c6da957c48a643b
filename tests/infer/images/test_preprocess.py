import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pixels import Array, as_is, read_as_is
from numpy.typing import NDArray
from PIL import Image

from infer.core.errors import ImageError
from infer.images.enhance import Clahe, MeanFilter, Unsharp, WhiteBalance
from infer.images.preprocess import (
    CenterCrop,
    PixelSpec,
    Resize,
    ResizeLonger,
    ResizeShorter,
    centre_window,
    read_canvas,
    read_window,
)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_a_lossless_file_gives_the_very_pixels(suffix: str, scene: Array, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(scene).save(path, **({"lossless": True} if suffix == "webp" else {}))
    read = read_as_is(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, scene)


def test_a_jpeg_gives_pillows_pixels(scene: Array, tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_as_is(tmp_path / "a.jpg"), np.asarray(Image.open(tmp_path / "a.jpg")))


def test_the_kind_of_a_file_is_told_by_its_content_not_its_name(scene: Array, tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(read_as_is(tmp_path / "a.jpg"), scene)


STORED: dict[int, Callable[[Array], Array]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""How a camera stores an upright picture for each value of EXIF's Orientation, 0x0112."""


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_is_turned_upright(orientation: int, suffix: str, scene: Array, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](scene))).save(path, exif=exif)
    np.testing.assert_array_equal(read_canvas(str(path), as_is(20, 30)), scene)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture(scene: Array, tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    np.testing.assert_array_equal(read_as_is(tmp_path / "a.png"), scene)


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 128, 0], [1, 2, 3]], dtype=np.uint8)
    indices = np.arange(60, dtype=np.uint8).reshape(6, 10) % 3
    image = Image.fromarray(indices, "L")
    image.putpalette(colours.tobytes())
    for suffix in ("png", "gif", "bmp"):
        image.save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read_as_is(tmp_path / f"a.{suffix}"), colours[indices])


def test_a_palettes_transparent_entry_is_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10) % 2, "L")
    image.putpalette([200, 100, 50, 9, 8, 7])
    image.save(tmp_path / "a.png", transparency=0)
    read = read_as_is(tmp_path / "a.png")
    assert read[0, 0].tolist() == [0, 0, 0]
    assert read[0, 1].tolist() == [9, 8, 7]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_to_8(suffix: str, tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    values[0, :4] = [128, 129, 257, 65406]
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    read = read_as_is(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read[..., 0], np.rint(values / 257))
    assert (read == read[..., :1]).all()
    assert read[0, :4, 0].tolist() == [0, 1, 1, 254]


@pytest.mark.parametrize(
    ("values", "reason"),
    [(np.int32([[200, 1]] * 2), "mode I"), (np.float32([[0.5, 1]] * 2), "mode F")],
)
def test_values_of_unknown_range_are_refused(values: NDArray[np.generic], reason: str, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=rf"a\.tif: .*{reason}"):
        read_as_is(tmp_path / "a.tif")


def test_a_cmyk_jpeg_gives_its_colours(tmp_path: Path) -> None:
    colour = (200, 60, 120)
    Image.new("RGB", (32, 16), colour).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_as_is(tmp_path / "a.jpg").astype(int) - colour).max() <= 3


def test_transparency_shows_black(scene: Array, tmp_path: Path) -> None:
    alpha = np.random.default_rng(1).integers(0, 256, (20, 30, 1), dtype=np.uint8)
    alpha[0, 0], alpha[0, 1] = 0, 255
    Image.fromarray(np.concatenate([scene, alpha], axis=-1)).save(tmp_path / "a.png")
    read = read_as_is(tmp_path / "a.png")
    assert np.abs(read - scene.astype(float) * alpha / 255).max() <= 1
    np.testing.assert_array_equal(read[0, 1], scene[0, 1])


def test_grey_and_its_transparency_become_three_channels(scene: Array, tmp_path: Path) -> None:
    grey = scene[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([grey, np.full_like(grey, 128)], axis=-1)).save(tmp_path / "pale.png")
    np.testing.assert_array_equal(read_as_is(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))
    assert np.abs(read_as_is(tmp_path / "pale.png") - np.stack([grey] * 3, axis=-1) * (128 / 255)).max() <= 1


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (9, 11)).astype(bool)
    for suffix in ("png", "bmp", "tif"):
        Image.fromarray(bits).save(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read_as_is(tmp_path / f"a.{suffix}"), np.stack([bits * np.uint8(255)] * 3, -1))


def test_an_animation_gives_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_as_is(tmp_path / "a.gif") == [255, 0, 0]).all()


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 30), (24, 24), (101, 67), (7, 300)])
def test_the_shorter_side_is_resized_as_pillow_does_and_the_ratio_stays(width: int, height: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    resized = ResizeShorter(16)(image)
    assert min(resized.size) == 16
    assert abs(max(resized.size) - 16 * max(width, height) / min(width, height)) <= 0.5
    reference = image.resize(resized.size, Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(resized), np.asarray(reference))


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 30), (24, 24), (101, 67), (7, 300)])
def test_the_longer_side_is_resized_as_pillow_does_and_the_ratio_stays(width: int, height: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    resized = ResizeLonger(16)(image)
    assert max(resized.size) == 16
    assert abs(min(resized.size) - max(1, 16 * min(width, height) / max(width, height))) <= 0.5
    reference = image.resize(resized.size, Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(resized), np.asarray(reference))


def test_the_thinnest_image_that_is_read_keeps_a_pixel_when_its_longer_side_shrinks() -> None:
    assert ResizeLonger(20)(Image.new("RGB", (100, 1))).size == (20, 1)


def test_an_exact_resize_is_pillows(scene: Array) -> None:
    image = Image.fromarray(scene)
    reference = image.resize((7, 5), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(Resize(height=5, width=7)(image)), np.asarray(reference))


@pytest.mark.parametrize(("height", "width"), [(20, 30), (10, 9), (5, 30), (24, 12), (41, 53), (1, 1)])
def test_a_centre_crop_cuts_or_fills_with_black_evenly(height: int, width: int, scene: Array) -> None:
    cut = np.asarray(CenterCrop(height, width)(Image.fromarray(scene)))
    padded = np.zeros((20 + 200, 30 + 200, 3), np.uint8)
    padded[100:120, 100:130] = scene
    top, left = 100 + (20 - height) // 2, 100 + (30 - width) // 2
    np.testing.assert_array_equal(cut, padded[top : top + height, left : left + width])


def test_the_steps_run_in_their_order_and_then_the_canvas_is_cut(scene: Array, tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png")
    steps = (CenterCrop(18, 12), Resize(9, 24), ResizeShorter(16))
    spec = PixelSpec(steps=steps, canvas=(12, 14), window=(10, 10), reduced_decode=False)
    image = Image.fromarray(scene[1:19, 9:21]).resize((24, 9), Image.Resampling.BILINEAR)
    image = image.resize((43, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(image)[2:14, 14:28]
    np.testing.assert_array_equal(read_canvas(str(tmp_path / "a.png"), spec), expected)
    np.testing.assert_array_equal(read_window(str(tmp_path / "a.png"), spec), expected[1:11, 2:12])


def test_the_window_is_the_canvass_centre_for_one_and_for_a_batch() -> None:
    spec = PixelSpec(steps=(), canvas=(9, 12), window=(4, 6), reduced_decode=False)
    batch = np.random.default_rng(0).integers(0, 256, (3, 9, 12, 3), dtype=np.uint8)
    windows = centre_window(batch, spec)
    np.testing.assert_array_equal(windows, batch[:, 2:6, 3:9])
    np.testing.assert_array_equal(centre_window(batch[1], spec), windows[1])


@pytest.mark.parametrize(("size", "margin"), [(224, 256), (32, 37), (1, 2)])
def test_the_default_keeps_imagenets_ratio_of_canvas_to_window(size: int, margin: int) -> None:
    spec = PixelSpec.default(size)
    assert (spec.canvas, spec.window, spec.steps) == ((margin, margin), (size, size), (ResizeShorter(margin),))


def photo(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("width", "height"), [(800, 600), (601, 803), (1203, 297)])
@pytest.mark.parametrize("step", [ResizeShorter(32), Resize(28, 36), ResizeLonger(40)])
def test_a_reduced_decode_gives_nearly_the_full_decodes_pixels(
    width: int, height: int, orientation: int, step: ResizeShorter | Resize | ResizeLonger, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(tmp_path / "a.jpg")
    photo(width, height).save(path, quality=95, exif=exif)
    full = PixelSpec(steps=(step,), canvas=(28, 30), window=(24, 24), reduced_decode=False)
    slow, fast = (read_canvas(path, spec).astype(int) for spec in (full, replace(full, reduced_decode=True)))
    assert slow.shape == fast.shape == (28, 30, 3)
    assert np.abs(slow - fast).mean() < 1.5
    assert np.abs(slow - fast).max() < 16
    if (width, height, orientation) == (800, 600, 1):
        assert (slow != fast).any()  # it was reduced


def test_a_longer_side_is_decoded_at_the_least_scale_that_leaves_twice_its_target(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jpg")
    photo(640, 100).save(path)
    spec = PixelSpec(steps=(ResizeLonger(80),), canvas=(80, 80), window=(80, 80), reduced_decode=True)
    with Image.open(path) as image:
        image.draft(None, (160, 25))
        assert image.size == (160, 25)
        expected = CenterCrop(80, 80)(image.resize((80, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_canvas(path, spec), np.asarray(expected))


def test_a_first_step_that_is_there_twice_sees_the_decoders_border_once(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jpg")
    photo(601, 803).save(path)
    step = ResizeShorter(32)
    once = PixelSpec(steps=(step,), canvas=(32, 32), window=(32, 32), reduced_decode=True)
    np.testing.assert_array_equal(read_canvas(path, replace(once, steps=(step, step))), read_canvas(path, once))


def test_enhancement_is_done_before_the_steps_that_follow_it(scene: Array, tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png")
    steps = (Clahe(3, 4), Unsharp(2, 1.5), CenterCrop(10, 12))
    spec = PixelSpec(steps=steps, canvas=(10, 12), window=(10, 12), reduced_decode=False)
    expected = np.asarray(steps[1](steps[0](Image.fromarray(scene))))[5:15, 9:21]
    np.testing.assert_array_equal(read_canvas(str(tmp_path / "a.png"), spec), expected)
    other = replace(spec, steps=(steps[1], steps[0], steps[2]))
    assert (read_canvas(str(tmp_path / "a.png"), other) != expected).any()


def test_a_jpeg_less_than_four_times_the_target_is_decoded_in_full(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jpg")
    photo(127, 127).save(path)
    spec = PixelSpec(steps=(ResizeShorter(32),), canvas=(32, 32), window=(32, 32), reduced_decode=True)
    expected = Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_canvas(path, spec), np.asarray(expected))


SPECS = [
    PixelSpec.default(32),
    replace(PixelSpec.default(32), bits=12),
    replace(PixelSpec.default(32), dicom_window="-600/1500"),
    PixelSpec(steps=(), canvas=(5, 6), window=(3, 4), reduced_decode=False),
    PixelSpec(
        steps=(Resize(8, 9), CenterCrop(7, 6), ResizeShorter(5)), canvas=(5, 5), window=(5, 5), reduced_decode=True
    ),
    PixelSpec(steps=(ResizeLonger(5),), canvas=(5, 5), window=(5, 5), reduced_decode=True),
    PixelSpec(
        steps=(Clahe(3.5, 9), Unsharp(1.5, 2), WhiteBalance(), MeanFilter(3), ResizeLonger(5)),
        canvas=(5, 5),
        window=(5, 5),
        reduced_decode=False,
    ),
]


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_comes_back_from_json_as_it_was(spec: PixelSpec) -> None:
    assert PixelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_spec_of_all_bits_is_written_as_older_labs_wrote_it() -> None:
    assert "bits" not in PixelSpec.default(32).to_json()
    assert PixelSpec.from_json(PixelSpec.default(32).to_json()).bits == 16
    assert "dicom_window" not in PixelSpec.default(32).to_json()
    assert PixelSpec.from_json(PixelSpec.default(32).to_json()).dicom_window == "file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"canvas": (0, 8)}, "sizes must be whole numbers above 0"),
        ({"window": (8, -1)}, "sizes must be whole numbers above 0"),
        ({"window": (7.5, 8)}, "sizes must be whole numbers above 0"),
        ({"steps": (ResizeShorter(0),)}, "sizes must be whole numbers above 0"),
        ({"steps": (Resize(8, "8"),)}, "sizes must be whole numbers above 0"),
        ({"window": (9, 8)}, r"the window \(9, 8\) is larger than the canvas \(8, 8\)"),
        ({"window": (8, 9)}, "is larger than the canvas"),
        ({"steps": ()}, "reduced_decode needs a resize as the first step"),
        ({"steps": (CenterCrop(8, 8), ResizeShorter(8))}, "reduced_decode needs a resize as the first step"),
        ({"steps": (WhiteBalance(), ResizeShorter(8))}, "reduced_decode needs a resize as the first step"),
        ({"steps": (ResizeLonger(0),)}, "sizes must be whole numbers above 0"),
        ({"window": (True, 8)}, "sizes must be whole numbers above 0"),
        ({"steps": (Resize(8, True),)}, "sizes must be whole numbers above 0"),
        ({"bits": 8.0}, "bits must be one of 8, 10, 12, 14, 16, got 8.0"),
        ({"bits": 11}, "bits must be one of 8, 10, 12, 14, 16, got 11"),
        ({"dicom_window": "40"}, "must be file, full or CENTRE/WIDTH"),
    ],
)
def test_an_impossible_spec_cannot_be_built(change: dict[str, object], message: str) -> None:
    good = PixelSpec(steps=(ResizeShorter(8),), canvas=(8, 8), window=(8, 8), reduced_decode=True)
    with pytest.raises(ValueError, match=message):
        replace(good, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [{"kind": "sharpen", "size": 8}]},
        {"steps": [{"size": 8}]},
        {"steps": [{"kind": "resize", "size": 8}]},
        {"steps": [{"kind": "resize_longer", "size": 8.5}]},
        {"steps": [{"kind": "clahe", "clip": "3", "tiles": 8}], "reduced_decode": False},
        {"steps": [{"kind": "clahe", "clip": 3, "tiles": [8]}], "reduced_decode": False},
        {"steps": [{"kind": "clahe"}], "reduced_decode": False},
        {"steps": [{"kind": "unsharp", "sigma": -1, "strength": 1}], "reduced_decode": False},
        {"steps": [{"kind": "white_balance", "size": 3}], "reduced_decode": False},
        {"steps": [{"kind": "mean_filter", "size": 4}], "reduced_decode": False},
        {"steps": None},
        {"canvas": [8, 8, 8]},
        {"canvas": 8},
        {"window": [9, 9]},
        {"reduced_decode": ...},
        {"bits": "12"},
        {"dicom_window": 40},
    ],
)
def test_a_spec_that_lab_did_not_write_is_refused(change: dict[str, object]) -> None:
    data = {**PixelSpec.default(7).to_json(), **change}
    left = {key: value for key, value in data.items() if value is not ...}
    with pytest.raises((KeyError, TypeError, ValueError)):
        PixelSpec.from_json(left)


JPEG_KINDS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True, "subsampling": 2},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
}


@pytest.mark.parametrize("kind", JPEG_KINDS)
@pytest.mark.parametrize("size", [(75, 61), (61, 75), (200, 131), (40, 40), (20, 90)])
def test_a_window_has_pillows_pixels_of_each_kind_of_jpeg(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    width, height = size
    options = dict(JPEG_KINDS[kind])
    mode = options.pop("mode", "RGB")
    coarse = np.random.default_rng(7).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    picture.save(tmp_path / "a.jpg", **options)
    spec = PixelSpec.default(28)
    with Image.open(tmp_path / "a.jpg") as opened:
        box = None
        if min(size) >= 64 and (drafted := opened.draft(None, (64, 64))):
            box = drafted[1]
        pixels = opened.convert("RGB")
    scale = 32 / min(box[2:] if box else size)
    target = (round((box[2] if box else width) * scale), round((box[3] if box else height) * scale))
    whole = CenterCrop(32, 32)(pixels.resize(target, Image.Resampling.BILINEAR, box))
    np.testing.assert_array_equal(read_canvas(str(tmp_path / "a.jpg"), spec), np.asarray(whole))
    np.testing.assert_array_equal(read_window(str(tmp_path / "a.jpg"), spec), np.asarray(whole)[2:30, 2:30])


@pytest.mark.parametrize(
    "steps",
    [
        (ResizeShorter(32),),
        (ResizeLonger(32),),
        (Resize(40, 36),),
        (CenterCrop(50, 44), ResizeShorter(33)),
        (ResizeShorter(40), CenterCrop(34, 33)),
        (ResizeShorter(32), MeanFilter(5)),
        (),
    ],
)
@pytest.mark.parametrize("size", [(61, 47), (30, 100), (33, 32)])
def test_a_window_is_the_centre_of_the_canvas_whatever_the_steps(
    steps: tuple[object, ...], size: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    spec = PixelSpec(steps=steps, canvas=(32, 32), window=(27, 22), reduced_decode=False)  # type: ignore[arg-type]
    canvas = read_canvas(str(tmp_path / "a.png"), spec)
    np.testing.assert_array_equal(read_window(str(tmp_path / "a.png"), spec), centre_window(canvas, spec))


def test_a_picture_smaller_than_the_canvas_keeps_its_black_margin(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (9, 8, 7)).save(tmp_path / "a.png")
    spec = PixelSpec(steps=(ResizeLonger(32),), canvas=(32, 32), window=(28, 28), reduced_decode=False)
    window = read_window(str(tmp_path / "a.png"), spec)
    assert [tuple(window[row, 14]) for row in (5, 6, 21, 22)] == [(0, 0, 0), (9, 8, 7), (9, 8, 7), (0, 0, 0)]
