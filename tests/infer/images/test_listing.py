"""Images below a folder: which, in what order, and what cannot be listed."""

import os
import random
from pathlib import Path

import pytest
from PIL import Image

from infer.core.errors import DataError
from infer.images.listing import is_image, is_image_file, list_images, natural_key
from infer.images.skipped import Skipped


@pytest.mark.parametrize(
    "ordered",
    [
        ["img1", "img2", "img10", "img20"],
        ["0", "1", "2", "10"],
        ["a1b9", "a1b10", "a2b1"],
        ["x/2/1.jpg", "x/10/1.jpg", "y/1/1.jpg"],
        ["a", "a1", "a10"],
        ["7", "x"],
    ],
)
def test_names_come_in_natural_order(ordered: list[str]) -> None:
    assert sorted(set(ordered), key=natural_key) == ordered


@pytest.mark.parametrize(
    "names", [["1", "01", "001", "1a", "01a", ""], ["²", "2", "٣", "a2", "a²"], ["9" * 5000, "10", "x"]]
)
def test_the_natural_order_of_any_names_is_total(names: list[str]) -> None:
    expected = sorted(names, key=natural_key)
    assert sorted(expected) == sorted(names)
    for seed in range(5):
        mixed = random.Random(seed).sample(names, len(names))
        assert sorted(mixed, key=natural_key) == expected


def test_images_are_listed_below_a_folder_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/10.PNG", "b/9.png", "a.JPEG", "c/d/e.tiff", ".hidden/x.png", "b/._9.png", "b/notes.txt", "b/png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c" / "folder.png").mkdir()
    assert list_images(tmp_path) == ["a.JPEG", "b/9.png", "b/10.PNG", "c/d/e.tiff"]


def test_files_without_a_suffix_are_listed_by_their_first_bytes(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8))
    for name, kind in (
        ("0a1b2c", "JPEG"),
        ("1.2.840.113", "PNG"),
        ("IM 3", "TIFF"),
        ("4", "WEBP"),
        ("5", "GIF"),
        ("6", "BMP"),
        ("notes.txt", "PNG"),
        ("script.py", "PNG"),
        (".hidden", "PNG"),
        ("._0a1b2c", "PNG"),
    ):
        picture.save(tmp_path / name, kind)
    (tmp_path / "README").write_text("BM is how a bitmap begins")
    (tmp_path / "sound").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    skipped = Skipped()
    assert list_images(tmp_path, skipped) == ["0a1b2c", "1.2.840.113", "4", "5", "6", "IM 3"]
    assert skipped.counts["other files"]["no suffix"] == 4


def test_a_file_with_a_suffix_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.csv", "c.txt", "d.tar"):
        (tmp_path / name).touch()
    monkeypatch.setattr("builtins.open", None)
    assert list_images(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("name", "content", "known"),
    [("a", b"\xff\xd8\xff", True), ("a", b"text", False), ("a.txt", b"\xff\xd8\xff", False), ("a.png", b"", True)],
)
def test_an_image_file_is_known_by_its_suffix_or_its_first_bytes(
    name: str, content: bytes, known: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_image_file(str(tmp_path / name)) is known


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    (other / "a.png").touch()
    (root / "b.png").touch()
    (root / "link").symlink_to(other)
    (other / "up").symlink_to(root)
    assert list_images(root) == ["b.png", "link/a.png"]


@pytest.mark.parametrize(("name", "known"), [("a.JpG", True), ("a.tar.gif", True), ("a", False), ("a.jpg.txt", False)])
def test_an_image_is_known_by_its_suffix_in_any_case(name: str, known: bool) -> None:
    assert is_image(name) is known


def test_a_folder_with_two_names_is_listed_under_both(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    (tmp_path / "train").symlink_to(tmp_path / "images")
    assert list_images(tmp_path) == ["images/a.png", "train/a.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError, match=r"cannot list .*closed"):
        list_images(tmp_path)


def test_a_listing_error_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the one above, for root."""
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"cannot list .*closed: Permission denied; make it readable"):
        list_images(tmp_path)
    (tmp_path / "a.png").touch()
    skipped = Skipped()
    assert list_images(tmp_path, skipped, needs_all=False) == ["a.png"]
    assert skipped.summary() == "skipped: 1 folder that may not be listed (closed)"
    with pytest.raises(DataError, match=r"cannot list .*closed"):
        list_images(tmp_path / "closed", needs_all=False)
