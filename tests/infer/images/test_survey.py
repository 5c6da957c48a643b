"""What is said of pages and of bits that a decoded picture does not show."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infer.images import survey as module
from infer.images.archive import list_members
from infer.images.survey import Survey, survey


def save_deep(path: Path, largest: int) -> str:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    values[-1, -1] = largest
    Image.fromarray(values).save(path)
    return str(path)


def save_pages(path: Path, pages: int) -> str:
    images = [Image.new("RGB", (8, 8), (0, 0, 40 * page)) for page in range(pages)]
    images[0].save(path, save_all=True, append_images=images[1:])
    return str(path)


@pytest.mark.parametrize("suffix", ["tif", "gif", "png", "webp"])
def test_pages_and_frames_are_counted_and_named(suffix: str, tmp_path: Path) -> None:
    files = [save_pages(tmp_path / f"{pages}.{suffix}", pages) for pages in (1, 2, 3)]
    assert survey(files).notes(16) == [
        f"note: 2 of 3 images have more than one page or frame; the first is used ({files[1]}, {files[2]})"
    ]


def test_ordinary_images_need_no_word(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "bmp", "tif", "webp", "gif"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"a.{suffix}")
    assert survey([str(path) for path in tmp_path.iterdir()]) == Survey(6, 6)
    assert survey([]).notes(16) == []


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_values_of_fewer_bits_than_are_assumed_are_said_with_the_largest(suffix: str, tmp_path: Path) -> None:
    files = [save_deep(tmp_path / f"{number}.{suffix}", 1000 + number) for number in range(3)]
    assert survey(files).notes(16) == [
        "note: 3 of 3 images have more than 8 bits per channel; their largest value is 1,002, which takes 10 bits, and "
        "white is 65,535 (16 bits), so they are dark; train with --bits 10 or --bits auto if they hold 10 bits"
    ]
    assert survey(files).notes(10) == []


def test_values_of_more_bits_than_the_models_are_said(tmp_path: Path) -> None:
    files = [save_deep(tmp_path / "a.png", 60000)]
    (note,) = survey(files).notes(12)
    assert "their largest value is 60,000, which takes 16 bits, and white is 4,095 (12 bits)" in note
    assert "larger values become white" in note
    assert survey(files).notes(16) == []


def test_all_deep_images_are_decoded_where_all_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DEEP", 2)
    files = [save_deep(tmp_path / f"{number}.png", 300 + 1000 * (number == 1)) for number in range(8)]
    assert survey(files).largest == 300
    assert survey(files, complete=True).largest == 1300


def test_of_many_files_some_are_looked_at_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LOCAL", 4)
    files = [save_pages(tmp_path / f"{number}.tif", 2) for number in range(8)]
    (note,) = survey(files).notes(16)
    assert note.startswith("note: 4 of 4 images that were looked at have more than one page or frame")


def test_images_in_an_archive_are_looked_at(tmp_path: Path) -> None:
    save_pages(tmp_path / "a.tif", 2)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "a.tif")
    (note,) = survey(list_members(tmp_path / "a.zip")).notes(16)
    assert "1 of 1 images has more than one page" in note


def test_files_that_cannot_be_read_are_left_to_decoding(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    assert survey([str(tmp_path / "text.png"), str(tmp_path / "missing.tif")]) == Survey(2, 2)
