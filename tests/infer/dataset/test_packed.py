"""What the readers of files that hold images share: splits by name, complete series, safe names."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.npz_images import is_medmnist, read_npz
from infer.dataset.packed import (
    MAX_IMAGES,
    Kind,
    Packed,
    image_suffix,
    require_complete,
    require_picture,
    safe_path,
    splits_of,
)

KIND = Kind("made", (".bin", ".bin.gz"), is_medmnist, read_npz)


def packed(folder: Path, *names: str) -> Packed:
    return Packed(folder, KIND, tuple(folder / name for name in names))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002.bin", "train"),
        ("val-000000.bin", "valid"),
        ("validation-00000-of-00001.bin", "valid"),
        ("dev_3.bin", "valid"),
        ("imagenet-train-000012.bin", "train"),
        ("Testing.bin", "test"),
        ("test/0000.bin", "test"),
        ("data/test/part.bin", "test"),
        ("train/val-0.bin", "valid"),
        ("contest-0.bin", None),
        ("trained.bin", None),
    ],
)
def test_a_split_is_found_by_a_whole_word_of_the_files_or_the_folders_name(
    tmp_path: Path, name: str, split: str | None
) -> None:
    assert splits_of(packed(tmp_path, name)) == [split]


def test_names_that_tell_two_splits_or_only_sometimes_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-test\.bin contains two splits, train, test; rename it"):
        splits_of(packed(tmp_path, "train-test.bin"))
    with pytest.raises(DataError, match=r"contain a split and those of others do not: .*extra-0\.bin"):
        splits_of(packed(tmp_path, "train-0.bin", "extra-0.bin"))


def test_the_name_is_that_of_the_file_without_its_suffix_or_of_the_folder(tmp_path: Path) -> None:
    assert Packed(tmp_path / "cells.v2.BIN.gz", KIND, ()).name == "cells.v2"
    (tmp_path / "cells.bin").mkdir()
    assert Packed(tmp_path / "cells.bin", KIND, ()).name == "cells.bin"


def test_a_series_is_complete_by_the_number_in_its_names() -> None:
    require_complete(
        [Path("a/train-00000-of-00001.x"), Path("a/test-00001-of-00002.x"), Path("a/test-00000-of-00002.x")]
    )
    require_complete([Path("a/train-0.x"), Path("b.x")])
    with pytest.raises(DataError, match="1 of 2 files are not in b: test-00001-of-00002; download them again"):
        require_complete(
            [Path("a/test-00001-of-00002.x"), Path("a/test-00000-of-00002.x"), Path("b/test-00000-of-00002.x")]
        )


@pytest.mark.parametrize("shape", [(0, 8, 8), (2, 8, 8), (2, 8, 9, 1), (2, 224, 224, 3), (MAX_IMAGES, 28, 28)])
def test_grey_and_colour_images_are_pictures(shape: tuple[int, ...]) -> None:
    require_picture(shape, "x", Path("a.npz"))


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((2, 28, 28, 28), "volumes of 28 x 28 x 28 voxels"),
        ((2, 64, 64, 64, 1), "volumes of 64 x 64 x 64 voxels"),
        ((2, 28), r"shape \[2, 28\]"),
        ((2, 28, 28, 2), r"shape \[2, 28, 28, 2\]"),
        ((MAX_IMAGES + 1, 28, 28), "do not trust it"),
        ((2, 10**6, 10**6), "do not trust it"),
        ((2, 0, 28), "do not trust it"),
    ],
)
def test_volumes_and_other_shapes_are_refused(shape: tuple[int, ...], named: str) -> None:
    with pytest.raises(DataError, match=named):
        require_picture(shape, "x", Path("a.npz"))


def test_a_name_is_kept_where_any_disk_can_hold_it() -> None:
    assert safe_path("a/P017_003.JPG", "0", b"") == "a/P017_003.JPG"
    assert safe_path("a\\b.png", "0", b"") == "a/b.png"
    assert safe_path("Zürich", "0", b"\xff\xd8\xff") == "Zürich.jpg"
    for name in ("", "..", "../a.png", "/a.png", "a//b.png", "a .png/ ", "C:/a.png", "a\n.png", "é" * 150):
        assert safe_path(name, "7", b"GIF89a") == "7.gif"


def test_the_suffix_follows_the_content() -> None:
    contents = {
        "jpg": b"\xff\xd8\xff\xe0",
        "png": b"\x89PNG\r\n\x1a\n",
        "tiff": b"II*\0",
        "webp": b"RIFFxxxxWEBP",
        "img": b"text",
    }
    assert {suffix: image_suffix(content) for suffix, content in contents.items()} == {s: f".{s}" for s in contents}
