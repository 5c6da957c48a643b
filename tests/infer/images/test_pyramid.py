"""Pyramidal TIFF files: which level is read where the first page is too large, and which pages are not levels."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.tiff import Page, write_tiff
from numpy.typing import NDArray
from PIL import Image

from infer.core.errors import ImageError
from infer.dataset.image_facts import measure_image
from infer.images import decode, survey
from infer.images.archive import list_members
from infer.images.preprocess import CenterCrop, PixelSpec, ResizeShorter, read_canvas, read_rgb
from infer.images.pyramid import has_other_pages, open_level

Array = NDArray[np.uint8]
WHOLE, HALF, QUARTER = (640, 480), (320, 240), (160, 120)
LIMIT = 320 * 240
"""Pixels that may be decoded in these tests: the whole image has four times as many."""


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", LIMIT)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", LIMIT)


def pixels(size: tuple[int, int], seed: int = 0, dtype: type = np.uint8) -> Array:
    """Random pixels of a width and height, different ones for each size."""
    random = np.random.default_rng(seed + size[0])
    return random.integers(0, np.iinfo(dtype).max + 1, (size[1], size[0], 3), dtype=dtype)  # type: ignore[no-any-return]


def marked_pages(path: Path) -> str:
    return write_tiff(path, [Page(pixels(WHOLE)), Page(pixels(HALF), subfile=1), Page(pixels(QUARTER), subfile=1)])


def tiled_pages(path: Path) -> str:
    """As Aperio's SVS: a thumbnail in a strip behind the first page; at the end a label and a macro image."""
    label = Page(pixels((200, 190)), subfile=1)
    tiled = [Page(pixels(size), tile=64) for size in (WHOLE, HALF, QUARTER)]
    thumbnail = Page(pixels((64, 48), seed=1))
    return write_tiff(path, [tiled[0], thumbnail, *tiled[1:], label, Page(pixels((300, 100)), subfile=9)])


def sub_directories(path: Path) -> str:
    """As OME-TIFF: levels below the first page, and a second channel with its own as a further page."""
    levels = [Page(pixels(HALF), tile=32), Page(pixels(QUARTER), subfile=1)]
    second = [Page(pixels(HALF, seed=5), subfile=1)]
    return write_tiff(path, [Page(pixels(WHOLE), children=levels), Page(pixels((639, 100)), children=second)])


KINDS = {"marked": marked_pages, "tiled": tiled_pages, "below": sub_directories}
SUB_DIRECTORY_KINDS = {
    **KINDS,
    "one sub-directory": lambda path: write_tiff(
        path, [Page(pixels(WHOLE), tile=64, children=[Page(pixels(QUARTER), tile=64)])]
    ),
}


def resized(size: tuple[int, int], side: int) -> Array:
    image = Image.fromarray(pixels(size))
    scale = side / min(size)
    image = image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
    left = (image.width - side) // 2
    return np.asarray(image.crop((left, 0, left + side, side)))


def spec(side: int) -> PixelSpec:
    return PixelSpec(steps=(ResizeShorter(side),), canvas=(side, side), window=(side, side), reduced_decode=True)


@pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("side", "level"), [(16, QUARTER), (60, QUARTER), (61, HALF), (120, HALF)])
def test_the_smallest_level_with_twice_the_target_is_read(
    write: Callable[[Path], str], side: int, level: tuple[int, int], tmp_path: Path
) -> None:
    np.testing.assert_array_equal(read_canvas(write(tmp_path / "a.tif"), spec(side)), resized(level, side))


@pytest.mark.parametrize("write", SUB_DIRECTORY_KINDS.values(), ids=SUB_DIRECTORY_KINDS)
def test_no_level_smaller_than_needed_is_read(write: Callable[[Path], str], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.tif: .*more than"), decode.bombs_are_errors():
        read_canvas(write(tmp_path / "a.tif"), spec(121))


def test_steps_on_the_files_own_pixels_refuse_a_level(tmp_path: Path) -> None:
    whole = PixelSpec(steps=(CenterCrop(16, 16),), canvas=(16, 16), window=(16, 16), reduced_decode=False)
    with pytest.raises(ImageError, match="more than"):
        read_canvas(marked_pages(tmp_path / "a.tif"), whole)


@pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)
def test_without_a_target_the_largest_level_that_fits_is_read(write: Callable[[Path], str], tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_rgb(path), pixels(HALF))
    facts = measure_image(path)
    assert (facts["width"], facts["height"], facts["kind"]) == (*HALF, "TIFF RGB")


def test_a_first_page_within_the_limit_is_read_whatever_its_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 640 * 480)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 640 * 480)
    np.testing.assert_array_equal(read_canvas(tiled_pages(tmp_path / "a.tif"), spec(16)), resized(WHOLE, 16))


@pytest.mark.parametrize(
    "pages",
    [
        [Page(pixels(WHOLE)), Page(pixels(HALF))],  # neither marked nor tiled
        [Page(pixels(WHOLE)), Page(pixels((300, 240)), subfile=1)],  # of another shape
        [Page(pixels(WHOLE), tile=64), Page(pixels(WHOLE, seed=2), tile=64)],  # not smaller
        [Page(pixels(WHOLE), orientation=6), Page(pixels(HALF), subfile=1)],  # levels may not say that they are turned
        [Page(pixels(WHOLE))],
    ],
)
def test_other_pages_are_no_levels(pages: list[Page], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="more than"):
        read_canvas(write_tiff(tmp_path / "a.tif", pages), spec(16))


def test_a_level_rounded_in_either_direction_is_one(tmp_path: Path) -> None:
    whole, level = (641, 479), (161, 119)  # a quarter is 160.25 x 119.75
    path = write_tiff(tmp_path / "a.tif", [Page(pixels(whole)), Page(pixels(level), subfile=1)])
    np.testing.assert_array_equal(read_rgb(path), pixels(level))


@pytest.mark.parametrize("children", [False, True])
def test_16_bit_colours_of_a_level_are_read_with_the_bits_of_the_card(children: bool, tmp_path: Path) -> None:
    half = pixels(HALF, dtype=np.uint16) >> 4
    level = Page(half, subfile=1)
    whole = Page(pixels(WHOLE, dtype=np.uint16), children=[level] if children else ())
    path = write_tiff(tmp_path / "a.tif", [whole] if children else [whole, level])
    expected = (half.astype(np.int64) * 255 + 4095 // 2) // 4095
    np.testing.assert_array_equal(read_rgb(path, 12), expected)


def test_a_pyramid_in_an_archive_is_read(tmp_path: Path) -> None:
    tiled_pages(tmp_path / "a.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "a.tif")
    (member,) = list_members(tmp_path / "a.zip")
    np.testing.assert_array_equal(read_canvas(member, spec(60)), resized(QUARTER, 60))


def test_pyramids_are_mentioned_once_and_levels_are_no_other_pages(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.tif") for name, write in KINDS.items()]
    (tmp_path / "within").mkdir()
    first = Page(pixels(HALF))
    files.append(write_tiff(tmp_path / "within" / "levels.tif", [first, Page(pixels(QUARTER), subfile=1)]))
    files.append(write_tiff(tmp_path / "within" / "pages.tif", [first, Page(pixels(HALF, seed=3))]))
    with decode.bombs_are_errors():
        notes = survey.survey(files).notes(16)
    assert notes == [
        f"note: 1 of 5 images has more than one page or frame; the first is used ({files[4]})",
        "note: 3 of 5 images are pyramids of more than 80 million pixels; the smallest level that leaves enough pixels "
        f"for the resize is used ({', '.join(files[:3])})",
    ]


def test_a_loop_of_pages_and_a_file_of_another_format_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    content = bytearray(Path(marked_pages(path)).read_bytes())
    content[-4:] = content[4:8]  # the last page leads to the first
    path.write_bytes(content)
    np.testing.assert_array_equal(read_rgb(str(path)), pixels(HALF))
    Image.new("RGB", QUARTER).save(tmp_path / "a.png")
    assert open_level(str(tmp_path / "a.png"), lambda width, height: True, None) is None
    with Image.open(tmp_path / "a.png") as image:
        assert not has_other_pages(image)
