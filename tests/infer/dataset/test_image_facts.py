import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infer.core.console import Screen
from infer.core.errors import ImageError
from infer.dataset.image_facts import QUANTILES, measure_image, measure_images
from infer.dataset.near_duplicates import likeness


@pytest.fixture
def image(tmp_path: Path, save_image: Callable[..., Path]) -> Path:
    return save_image(tmp_path / "a.png", 200, 150)


def test_size_format_and_mode_are_those_of_the_file(image: Path, tmp_path: Path) -> None:
    Image.open(image).convert("L").save(tmp_path / "grey.bmp")
    found, grey = measure_image(str(image)), measure_image(str(tmp_path / "grey.bmp"))
    assert (found["width"], found["height"], found["kind"]) == (200, 150, "PNG RGB")
    assert grey["kind"] == "BMP L"


def test_the_same_pixels_in_another_format_differ_in_their_bytes_alone(image: Path, tmp_path: Path) -> None:
    Image.open(image).save(tmp_path / "b.bmp")
    original, copy = measure_image(str(image)), measure_image(str(tmp_path / "b.bmp"))
    assert original["pixels"] == copy["pixels"]
    assert original["file"] != copy["file"]


def test_the_same_bytes_in_another_shape_are_other_pixels(tmp_path: Path) -> None:
    for name, shape in (("a.png", (20, 30, 3)), ("b.png", (30, 20, 3))):
        Image.fromarray(np.zeros(shape, dtype=np.uint8)).save(tmp_path / name)
    assert measure_image(str(tmp_path / "a.png"))["pixels"] != measure_image(str(tmp_path / "b.png"))["pixels"]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((90, 60)),
        lambda image: image.resize((420, 330)),
        lambda image: image.rotate(90, expand=True),
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: image.point(lambda level: int(0.85 * level)),
    ],
)
def test_a_copy_that_was_compressed_and_changed_a_little_is_very_alike(
    change: Callable, image: Path, tmp_path: Path
) -> None:
    change(Image.open(image)).save(tmp_path / "copy.jpg", quality=70)
    first, second = (measure_image(str(path))["signature"][None] for path in (image, tmp_path / "copy.jpg"))
    assert likeness(first, second)[0] > 0.99


def test_colours_are_mean_std_and_quantiles_of_each_channel(image: Path) -> None:
    pixels = np.asarray(Image.open(image)).reshape(-1, 3).astype(float)
    colour = measure_image(str(image))["colour"]
    assert colour[:3] == pytest.approx(pixels.mean(0), abs=1e-3)
    assert colour[3:6] == pytest.approx(pixels.std(0), abs=1e-3)
    expected = np.percentile(pixels, QUANTILES, axis=0, method="inverted_cdf").ravel()
    assert colour[6:] == pytest.approx(expected, abs=1.0)


def test_a_blank_image_is_distinguished_from_a_cell_on_black(tmp_path: Path) -> None:
    blank = np.full((100, 100, 3), 240, dtype=np.uint8)
    cell = np.zeros((100, 100, 3), dtype=np.uint8)
    cell[40:60, 40:60] = np.random.default_rng(0).integers(60, 200, (20, 20, 3))
    for name, pixels in (("blank", blank), ("cell", cell)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    blank_facts, cell_facts = measure_image(str(tmp_path / "blank.png")), measure_image(str(tmp_path / "cell.png"))
    assert (blank_facts["contrast"], blank_facts["uniform"]) == (0, 1)
    assert cell_facts["contrast"] > 10
    assert cell_facts["uniform"] == pytest.approx(0.96)


def test_a_jpeg_that_lost_its_lower_half_shows_it(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    whole = save_image(tmp_path / "whole.jpg", 160, 160).read_bytes()
    half = io.BytesIO(whole[: len(whole) * 2 // 3] + b"\xff\xd9")  # an end mark, so that it decodes
    (tmp_path / "half.jpg").write_bytes(half.getvalue())
    assert measure_image(str(tmp_path / "whole.jpg"))["cut"] == 0
    assert measure_image(str(tmp_path / "half.jpg"))["cut"] > 0.05


def test_a_truncated_file_is_an_error(image: Path) -> None:
    image.write_bytes(image.read_bytes()[:-200])
    with pytest.raises(ImageError):
        measure_image(str(image))


def test_images_are_measured_in_order_with_the_reason_why_one_cannot_be_read(
    tmp_path: Path, save_image: Callable[..., Path], quiet: Screen
) -> None:
    for place in range(5):
        save_image(tmp_path / f"{place}.png", 40 + place, seed=place)
    (tmp_path / "2.png").write_bytes(b"no image")
    facts, why = measure_images(tmp_path, [f"{place}.png" for place in range(6)], quiet)
    assert facts["width"].tolist() == [40, 41, 0, 43, 44, 0]
    assert sorted(why) == [2, 5]
    assert why[5] == "no such file"
