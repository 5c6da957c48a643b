"""The table of image formats: what it holds, and that a row added to it is all that a new format needs."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from infer.core.errors import DataError, ImageError
from infer.dataset.source import read_table
from infer.images import formats
from infer.images.archive import list_members
from infer.images.formats import FORMATS, ImageFormat, format_names, format_of, pillow_names, pillow_suffixes, suffixes
from infer.images.listing import is_image, list_images
from infer.images.preprocess import PixelSpec, read_canvas
from infer.tables.inputs import read_inputs


@pytest.fixture
def ppm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Portable pixmaps as one more row of the table."""
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, ImageFormat("PPM", "PPM", (".ppm",), (b"P6",))))
    suffixes.cache_clear()
    yield
    monkeypatch.undo()
    suffixes.cache_clear()


def test_pillow_knows_every_format_its_suffixes_and_its_library() -> None:
    Image.init()
    assert set(pillow_names()) <= set(Image.OPEN)
    assert {Image.EXTENSION[suffix] for suffix in pillow_suffixes()} == set(pillow_names())
    assert set(suffixes()) - set(pillow_suffixes()) == {".dcm", ".dicom"}
    assert all(features.check(item.library) for item in FORMATS if item.library)


def test_each_suffix_belongs_to_one_format_and_is_written_in_lower_case_with_its_dot() -> None:
    assert len(set(suffixes())) == len(suffixes())
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes())


def test_names_for_people_are_joined_by_commas_and_an_and() -> None:
    assert format_names() == "JPEG, PNG, BMP, TIFF, WebP, GIF and DICOM"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"RIFF1234WEBP", "WebP"),
        (b"RIFF1234WAVE", None),
        (bytes(128) + b"DICM", "DICOM"),
        (bytes(128) + b"DICX", None),
        (b"", None),
    ],
)
def test_a_format_is_known_by_its_first_bytes(content: bytes, name: str | None) -> None:
    known = format_of(content)
    assert (known and known.name) == name


def test_a_format_that_is_not_in_the_table_is_neither_listed_nor_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.ppm")
    assert list_images(tmp_path) == []
    (tmp_path / "a.ppm").rename(tmp_path / "a.png")
    with pytest.raises(ImageError, match="cannot identify image file"):
        read_canvas(str(tmp_path / "a.png"), PixelSpec.default(8))


@pytest.mark.usefixtures("ppm")
def test_a_row_added_to_the_table_is_listed_decoded_and_named_in_messages(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lab reads JPEG, PNG, BMP, TIFF, WebP, GIF, DICOM and PPM"):
        read_inputs(tmp_path, ())
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.PPM", "PPM")
    assert is_image("a.PPM")
    assert list_images(tmp_path) == read_inputs(tmp_path, ()).names == ["a.PPM"]
    spec = PixelSpec(steps=(), canvas=(8, 8), window=(8, 8), reduced_decode=False)
    np.testing.assert_array_equal(read_canvas(str(tmp_path / "a.PPM"), spec), pixels)


@pytest.mark.usefixtures("ppm")
def test_a_row_added_to_the_table_is_predicted_and_found_in_a_data_set(
    lab: Callable, model: Path, tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for number, label in enumerate(("0", "1")):
        save_image(tmp_path / "cells" / label / f"{number}.ppm", seed=number)
    ran = lab("predict", tmp_path / "cells", "--model", model, "--device", "cpu", "--out", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    rows = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == ["0/0.ppm", "1/1.ppm"]
    (tmp_path / "set").mkdir()
    (tmp_path / "cells").rename(tmp_path / "set" / "images")
    (tmp_path / "set" / "train.csv").write_text("Path,label\n0/0,0\n1/1,1\n")
    assert read_table(tmp_path / "set").paths == ("images/0/0.ppm", "images/1/1.ppm")


@pytest.mark.usefixtures("ppm")
def test_a_row_added_to_the_table_is_found_in_an_archive(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    save_image(tmp_path / "a.ppm")
    with tarfile.open(tmp_path / "cells.tar", "w") as archive:
        archive.add(tmp_path / "a.ppm", "a.ppm")
    assert [member.name for member in list_members(tmp_path / "cells.tar")] == ["a.ppm"]
