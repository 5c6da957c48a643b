import numpy as np
import pytest
from PIL import Image

from infer.images.resize_part import resize_part

SOURCES = [(360, 363), (512, 340), (31, 47), (64, 64), (100, 301), (33, 20), (450, 450), (301, 77)]
"""Widths and heights; (100, 301) is one of those of which Pillow 13 resizes the height first."""


def noise(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [(64, 64), (64, 66), (73, 37), (37, 150), (20, 19)])
@pytest.mark.parametrize("drafted", [False, True])
def test_a_part_has_the_pixels_of_the_whole_that_pillow_resizes(
    source: tuple[int, int], size: tuple[int, int], drafted: bool
) -> None:
    image = noise(*source)
    box = (0, 0, source[0] - 0.5, source[1] - 0.375) if drafted else None
    whole = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box))
    width, height = size
    parts = [(0, 0, width, height), (width // 8, height // 8, width - width // 8, height - height // 8)]
    parts += [(3, 0, width - 5, 7), (0, 5, 1, height), (width - 4, height - 9, width, height)]
    for left, top, right, bottom in parts:
        part = np.asarray(resize_part(image, size, (left, top, right, bottom), box))
        np.testing.assert_array_equal(part, whole[top:bottom, left:right])


def test_where_the_numbers_are_exact_pillow_is_asked_for_the_part_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    resize = Image.Image.resize

    def recording(image: Image.Image, size: tuple[int, int], *args: object) -> Image.Image:
        asked.append(size)
        return resize(image, size, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", recording)
    resize_part(noise(90, 100), (64, 64), (4, 4, 60, 60))
    assert asked == [(56, 56)]
    resize_part(noise(96, 90), (67, 64), (5, 4, 61, 60))  # 96 / 67 has no end in binary: the width is resized whole
    assert asked[1:] == [(67, 90), (56, 56)]
