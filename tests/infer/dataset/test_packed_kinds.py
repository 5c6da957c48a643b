"""Files that hold images are recognised by what they are, in a folder or alone, and never beside other data sets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.packed_files import encoded, pictures, save_npz, save_pair, save_parquet, save_tar

from infer.core.errors import DataError
from infer.dataset.packed_kinds import find_packed, unrecognised_files

PNG = encoded(pictures(1, 7, 6)[0], "PNG")


def title(path: Path) -> str | None:
    packed = find_packed(path)
    return packed.kind.title if packed else None


def save_each(folder: Path) -> dict[str, Path]:
    """A folder with one data set of each kind; returns the folders by the title of the kind."""
    save_npz(folder / "npz" / "some.npz")
    save_pair(folder / "h5", "train", 2)
    save_parquet(folder / "parquet" / "train.parquet", [{"bytes": PNG, "path": "a"}], label=[0])
    save_tar(folder / "tar" / "train-0.tar", {"1.png": PNG, "1.cls": b"0"})
    titles = ("MedMNIST npz", "PatchCamelyon HDF5", "Hugging Face Parquet", "WebDataset tar")
    return {title: folder / name for title, name in zip(titles, ("npz", "h5", "parquet", "tar"), strict=True)}


def test_each_kind_is_recognised_in_its_folder_and_by_its_file(tmp_path: Path) -> None:
    for name, folder in save_each(tmp_path).items():
        assert title(folder) == name
        assert {title(file) for file in folder.iterdir()} == {name}


def test_one_file_that_is_a_data_set_of_its_own_is_the_same_by_its_folder(tmp_path: Path) -> None:
    save_npz(tmp_path / "some.npz")
    assert find_packed(tmp_path) == find_packed(tmp_path / "some.npz")


def test_several_data_sets_in_a_folder_are_refused(tmp_path: Path) -> None:
    save_npz(tmp_path / "pathmnist.npz")
    save_npz(tmp_path / "pathmnist_64.npz")
    with pytest.raises(DataError, match=r"holds several data sets: pathmnist\.npz, pathmnist_64\.npz; name one"):
        find_packed(tmp_path)
    (tmp_path / "pathmnist_64.npz").unlink()
    save_tar(tmp_path / "train-0.tar", {"1.png": PNG, "1.cls": b"0"})
    with pytest.raises(DataError, match=r"holds several data sets: pathmnist\.npz, train-0\.tar; name one"):
        find_packed(tmp_path)


def test_files_of_a_data_set_in_several_folders_are_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "data"):
        save_parquet(folder / "train.parquet", [{"bytes": PNG, "path": "a"}], label=[0])
    with pytest.raises(DataError, match=r"files of a data set in several folders: .*name one"):
        find_packed(tmp_path)


def test_a_folder_of_images_with_other_such_files_stays_what_it_is(
    tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for name in ("cat", "dog"):
        save_image(tmp_path / name / "1.png")
    np.savez(tmp_path / "features.npz", x=np.zeros(3))
    (tmp_path / "weights.h5").write_bytes(b"")
    pq.write_table(pa.table({"image": ["a.png"], "label": [1]}), tmp_path / "labels.parquet")
    save_tar(tmp_path / "original.tar", {"cat/1.png": PNG, "dog/1.png": PNG})
    (tmp_path / "original.tar.gz").write_bytes(b"")
    assert find_packed(tmp_path) is None
    assert find_packed(tmp_path / "labels.parquet") is None


def test_both_a_file_with_images_and_folders_with_images_are_refused(
    tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    save_npz(tmp_path / "some.npz")
    save_image(tmp_path / "assets" / "banner.png")
    assert find_packed(tmp_path) is not None
    for split in ("train", "test"):
        save_image(tmp_path / split / "cat" / "1.png")
    with pytest.raises(
        DataError, match=r"holds some\.npz, and images in the folders assets, test, train; name the file"
    ):
        find_packed(tmp_path)


def test_a_table_of_a_layout_comes_first(tmp_path: Path) -> None:
    save_npz(tmp_path / "some.npz")
    (tmp_path / "train.csv").write_text("Path,label\n")
    assert find_packed(tmp_path) is None


def test_what_is_not_there_or_hidden_is_no_data_set(tmp_path: Path) -> None:
    assert find_packed(tmp_path / "none.npz") is None
    save_npz(tmp_path / "._some.npz")
    assert find_packed(tmp_path) is None


def test_files_with_the_suffix_of_a_kind_that_are_none_are_named(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.TAR", "c.zip", ".d.npz"):
        (tmp_path / name).touch()
    assert unrecognised_files(tmp_path) == ["a.TAR", "b.parquet"]
