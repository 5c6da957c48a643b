"""PatchCamelyon's pairs give their own pixels, labels and splits; halves, compressed and hostile files are refused."""

import gzip
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.packed_files import labels_of, pictures, pixels_of, read, save_pair

from infer.core.errors import DataError, MissingExtraError
from infer.dataset.hdf5_images import is_half_of_pair, read_with

NAME = "camelyonpatch_level_2_split_{}_{}.h5"


def save(folder: Path, x: np.ndarray, y: np.ndarray) -> Path:
    """A pair of any arrays; returns the file of the images."""
    for name, array in (("x", x), ("y", y)):
        with h5py.File(folder / f"train_{name}.h5", "w") as file:
            file.create_dataset(name, data=array)
    return folder / "train_x.h5"


@pytest.mark.parametrize("chunks", [None, (2, 96, 96, 3), (5, 32, 96, 3)])
def test_pixels_labels_and_splits_are_those_of_the_pairs(tmp_path: Path, chunks: tuple[int, ...] | None) -> None:
    images = {
        split: save_pair(tmp_path, split, count, chunks) for split, count in (("train", 7), ("valid", 5), ("test", 6))
    }
    table = read(tmp_path)
    expected = np.concatenate([images[split] for split in ("test", "train", "valid")])
    assert [pixels.tolist() for pixels in pixels_of(table)] == expected.tolist()
    assert table.splits == ("test",) * 6 + ("train",) * 7 + ("valid",) * 5
    assert labels_of(table) == [str(row % 2) for count in (6, 7, 5) for row in range(count)]
    assert table.paths[:2] == ("test/0.png", "test/1.png")


@pytest.mark.parametrize("half", ["x", "y"])
def test_either_half_means_its_pair_alone(tmp_path: Path, half: str) -> None:
    save_pair(tmp_path, "train", 4)
    save_pair(tmp_path, "test", 3)
    table = read(tmp_path / NAME.format("test", half))
    assert (len(table), set(table.splits)) == (3, {"test"})


def test_the_slide_is_the_group_where_the_table_of_slides_is_beside(tmp_path: Path) -> None:
    save_pair(tmp_path, "train", 3)
    meta = tmp_path / "camelyonpatch_level_2_split_train_meta.csv"
    rows = [f"{row},100,200,True,False,camelyon16_train_tumor_{row // 2:03}" for row in range(3)]
    meta.write_text("\n".join([",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi", *rows]))
    assert read(tmp_path).groups == ("camelyon16_train_tumor_000",) * 2 + ("camelyon16_train_tumor_001",)
    assert [file.name[-8:] for file in read_with(tmp_path / NAME.format("train", "x"))] == [
        "ain_x.h5",
        "ain_y.h5",
        "meta.csv",
    ]
    meta.write_text("\n".join([",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi", *rows[:2]]))
    with pytest.raises(DataError, match="2 rows for the 3 images"):
        read(tmp_path)


def test_compressed_files_are_refused_with_the_command_that_decompresses_them(tmp_path: Path) -> None:
    save_pair(tmp_path, "train", 3)
    for half in "xy":
        file = tmp_path / NAME.format("train", half)
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
        for named in (tmp_path, tmp_path / f"{file.name}.gz"):
            with pytest.raises(
                DataError, match=r"compressed as a whole; decompress it first: gunzip -k .*_[xy]\.h5\.gz"
            ):
                read(named)
    for half in "xy":
        packed = tmp_path / f"{NAME.format('train', half)}.gz"
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    assert len(read(tmp_path)) == 3


def test_masks_and_other_files_are_no_pairs(tmp_path: Path) -> None:
    names = ["a_mask.h5", "features.h5", "train_y.h5", "train_x.csv"]
    assert not any(is_half_of_pair(tmp_path / name) for name in names)
    assert not is_half_of_pair(tmp_path / "train_x.hdf5")
    assert is_half_of_pair(tmp_path / NAME.format("train", "x"))
    (tmp_path / "train_y.hdf5").write_bytes(b"")
    assert is_half_of_pair(tmp_path / "train_x.hdf5")
    (tmp_path / "features.h5").write_bytes(b"")
    with pytest.raises(DataError, match="not named as one of a pair"):
        read(tmp_path / "features.h5")


X, Y = pictures(2, 8, 8, 3), np.array([0, 1]).reshape(2, 1, 1, 1)


@pytest.mark.parametrize(
    ("x", "y", "named"),
    [
        (pictures(2, 8, 8, 8), Y, "3-D"),
        (X.astype(np.float32), Y, "float32 values"),
        (X, Y[:1], r"shape \[1, 1, 1, 1\] for 2 images"),
        (X, np.zeros((2, 14), int), r"shape \[2, 14\] for 2 images"),
        (X, np.array([0.5, 1.0]), "float64 values"),
    ],
)
def test_arrays_that_are_no_images_with_one_label_each_are_refused(
    tmp_path: Path, x: np.ndarray, y: np.ndarray, named: str
) -> None:
    with pytest.raises(DataError, match=named):
        read(save(tmp_path, x, y))


def test_a_half_that_is_not_there_or_lacks_its_data_set_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path, X, Y)
    with h5py.File(tmp_path / "train_y.h5", "w") as half:
        half["labels"] = Y
    with pytest.raises(DataError, match=r"train_y\.h5 has labels, and lab reads its data set y"):
        read(file)
    (tmp_path / "train_y.h5").unlink()
    with pytest.raises(DataError, match=r"there is no .*train_y\.h5, the other half"):
        read(file)


def test_data_sets_that_lie_in_other_files_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path, X, Y)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = X
    with h5py.File(file, "w") as images:
        images["x"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(DataError, match="lab reads its data set x"):
        read(file)
    with h5py.File(file, "w") as images:
        images.create_dataset("x", X.shape, "u1", external=[(str(tmp_path / "other.h5"), 0, X.nbytes)])
    with pytest.raises(DataError, match="lies in other files"):
        read(file)
    layout = h5py.VirtualLayout(X.shape, "u1")
    layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", X.shape)
    with h5py.File(file, "w") as images:
        images.create_virtual_dataset("x", layout)
    with pytest.raises(DataError, match="lies in other files"):
        read(file)


@pytest.mark.parametrize("shape", [(10**7, 96, 96, 3), (2, 10**6, 10**6, 3)])
def test_a_declared_shape_that_the_file_does_not_hold_is_refused_before_any_room_is_taken(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = save(tmp_path, X, Y)
    with h5py.File(file, "w") as images:
        images.create_dataset("x", shape, "u1", chunks=(1, *shape[1:]) if shape[1] < 100 else (1, 96, 96, 3))
    with h5py.File(tmp_path / "train_y.h5", "w") as labels:
        labels.create_dataset("y", (shape[0], 1, 1, 1), "u1", chunks=True)
    with pytest.raises(DataError, match="do not trust it"):
        read(file)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path, X, Y)
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(DataError, match=r"cannot read .*train_x\.h5"):
        read(file)


def test_the_extra_is_named_where_h5py_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path, X, Y)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[hdf5\]'"):
        read(file)
