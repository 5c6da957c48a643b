"""MedMNIST's arrays give their own pixels, labels and splits; hostile and unfit arrays are refused."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.packed_files import labels_of, pictures, pixels_of, read, save_npz

from infer.core.errors import DataError
from infer.dataset.npz_images import is_medmnist


def npy(array: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    """The content of a .npy file, whose header may declare another shape."""
    content = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + array.tobytes()


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (64, 64), (128, 128, 3), (224, 224), (30, 20, 3)])
def test_pixels_labels_and_splits_are_those_of_the_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    arrays = save_npz(tmp_path / "some.npz", shape, (11, 3, 2), classes=3)
    table = read(tmp_path / "some.npz")
    expected = np.concatenate([arrays[f"{split}_images"] for split in ("train", "val", "test")])
    assert [pixels.tolist() for pixels in pixels_of(table)] == expected.tolist()
    labels = np.concatenate([arrays[f"{split}_labels"] for split in ("train", "val", "test")])
    assert labels_of(table) == [str(label) for label in labels[:, 0]]
    assert table.splits == ("train",) * 11 + ("valid",) * 3 + ("test",) * 2
    assert (table.name, table.layout, table.source) == ("some", "MedMNIST npz", tmp_path / "some.npz")


def test_grey_images_with_a_channel_of_their_own_are_grey(tmp_path: Path) -> None:
    pixels = pictures(2, 8, 9, 1)
    np.savez(tmp_path / "x.npz", train_images=pixels, train_labels=np.array([0, 1]))
    assert [found.tolist() for found in pixels_of(read(tmp_path / "x.npz"))] == pixels[..., 0].tolist()


@pytest.mark.parametrize("name", ["bloodmnist", "bloodmnist_224", "BloodMNIST_64"])
def test_classes_of_a_known_set_have_their_names_at_any_size(tmp_path: Path, name: str) -> None:
    save_npz(tmp_path / f"{name}.npz", counts=(8, 0, 0), classes=8)
    classes = read(tmp_path / f"{name}.npz").classes
    assert (str(classes[0]), str(classes[7])) == ("0 basophil", "7 platelet")


def test_labels_that_a_known_set_does_not_have_stay_without_names(tmp_path: Path) -> None:
    save_npz(tmp_path / "pneumoniamnist.npz", counts=(6, 0, 0), classes=3)
    assert [str(item) for item in read(tmp_path / "pneumoniamnist.npz").classes] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "labels", [np.array([3, 0]), np.array([[3], [0]]), np.array([3, 0], ">i2"), np.array(["3", "0"])]
)
def test_labels_may_be_a_column_or_a_row_of_numbers_or_text(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "x.npz", train_images=pictures(2, 8, 8), train_labels=labels)
    assert labels_of(read(tmp_path / "x.npz")) == ["3", "0"]


def test_test_images_may_have_no_labels(tmp_path: Path) -> None:
    images = pictures(2, 8, 8)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.array([0, 1]), test_images=images)
    assert labels_of(read(tmp_path / "x.npz")) == ["0", "1", "", ""]


def test_several_findings_an_image_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    findings = np.zeros((4, 14), np.uint8)
    findings[0, 1] = findings[1, 1] = findings[1, 2] = 1
    np.savez(tmp_path / "chestmnist_64.npz", train_images=pictures(4, 8, 8), train_labels=findings)
    with pytest.raises(DataError, match=r"several findings an image \(atelectasis, .*--label-column"):
        read(tmp_path / "chestmnist_64.npz")
    assert labels_of(read(tmp_path / "chestmnist_64.npz", label="cardiomegaly")) == ["1", "1", "0", "0"]


def test_one_hot_labels_give_one_class_an_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", train_images=pictures(3, 8, 8), train_labels=np.eye(3, dtype=np.uint8))
    assert labels_of(read(tmp_path / "x.npz")) == ["finding_0", "finding_1", "finding_2"]


def test_labels_of_a_column_that_are_blank_on_test_images_are_not_counted_as_absent(tmp_path: Path) -> None:
    images = pictures(2, 8, 8)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.array([0, 1]), test_images=images)
    assert labels_of(read(tmp_path / "x.npz", label="label")) == ["0", "1", "", ""]


GOOD = {"train_images": pictures(2, 8, 8), "train_labels": np.array([0, 1])}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"train_images": pictures(2, 28, 28, 28)}, r"volumes of 28 x 28 x 28 voxels \(3-D\).*OrganAMNIST"),
        ({"train_images": pictures(2, 28, 28, 28, 1)}, "3-D"),
        ({"train_images": pictures(2, 8)}, r"shape \[2, 8\]"),
        ({"train_images": pictures(2, 8, 8, 4)}, r"shape \[2, 8, 8, 4\]"),
        ({"train_images": np.zeros((2, 8, 8), np.float32)}, "float32 values, and lab reads uint8"),
        ({"train_images": np.asfortranarray(pictures(2, 8, 8))}, "ascontiguousarray"),
        ({"train_images": np.array([[[None]], [[1]]], object)}, "pickled objects"),
        ({"train_labels": np.array([None, 1], object)}, "pickled objects"),
        ({"train_labels": np.array([0, 1, 0])}, r"shape \[3\] for 2 images"),
        ({"train_labels": np.zeros((2, 1, 1), int)}, r"shape \[2, 1, 1\] for 2 images"),
        ({"train_labels": np.array([0.5, 1])}, "float64 values"),
    ],
)
def test_arrays_that_are_no_images_with_one_label_each_are_refused(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    np.savez(tmp_path / "x.npz", **(GOOD | changed))
    with pytest.raises(DataError, match=named):
        read(tmp_path / "x.npz")


def test_arrays_of_other_names_are_refused_with_the_names_to_give(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=pictures(2, 8, 8), y_train=np.array([0, 1]))
    assert not is_medmnist(tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"has the arrays x_train, y_train, and lab reads MedMNIST's train_images"):
        read(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", train_images=pictures(2, 8, 8))
    with pytest.raises(DataError, match="has no array train_labels"):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize("shape", [(10**12, 8, 8), (2, 10**6, 10**6), (2, 2**62, 8), (3, 8, 8)])
def test_a_declared_shape_that_the_file_does_not_hold_is_refused_before_any_room_is_taken(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("train_images.npy", npy(pictures(2, 8, 8), shape))
        file.writestr("train_labels.npy", npy(np.array([0, 1])))
    with pytest.raises(DataError, match="do not trust it"):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize("at", [200, -400, 30])
def test_a_damaged_file_is_refused_and_leaves_nothing_in_the_cache(tmp_path: Path, cache: Path, at: int) -> None:
    np.savez(tmp_path / "x.npz", **GOOD)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[at] ^= 0xFF
    (tmp_path / "x.npz").write_bytes(content)
    before = sorted((cache / "unpacked").glob("*"))
    with pytest.raises(DataError, match=r"x\.npz"):
        read(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(content[:300])
    with pytest.raises(DataError, match=r"x\.npz is not an \.npz file"):
        read(tmp_path / "x.npz")
    assert sorted((cache / "unpacked").glob("*")) == before


@pytest.mark.parametrize("header", ["{'descr': '|u1", "{'a': (", "  {\n 1", "(" * 300, "-" * 9000 + "1", "\0", "[]"])
def test_a_header_that_is_no_literal_of_python_is_refused(tmp_path: Path, header: str) -> None:
    save_npz(tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz") as file:
        contents = {name: file.read(name) for name in file.namelist()}
    text = header.encode()
    contents["train_images.npy"] = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    with pytest.raises(DataError, match="is no array of numpy's versions 1 or 2"):
        read(tmp_path / "m.npz")


@pytest.mark.parametrize("count", [1, 2], ids=["in front of the array", "in the directory too"])
def test_a_name_that_is_not_the_utf_8_that_its_flag_says_is_refused(tmp_path: Path, count: int) -> None:
    save_npz(tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz") as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as file:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name)
            info.flag_bits |= 0x800
            file.writestr(info, content)
    content = (tmp_path / "m.npz").read_bytes()
    at = [content.index(b"train_images.npy"), content.rindex(b"train_images.npy")][:count]
    damaged = bytearray(content)
    for start in at:
        damaged[start] = 0xFF
    for start, mark in ((content.index(b"PK\3\4"), 6), (content.index(b"PK\1\2"), 8)):
        damaged[start + mark + 1] |= 0x08  # zipfile takes the flag away from names in ASCII
    (tmp_path / "m.npz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"is not an \.npz file, or is damaged"):
        read(tmp_path / "m.npz")


def test_a_negative_number_is_no_label(tmp_path: Path) -> None:
    labels = np.array([0, 1, -1])
    np.savez(tmp_path / "x.npz", test_images=pictures(3, 8, 8), test_labels=labels)
    assert labels_of(read(tmp_path / "x.npz")) == ["0", "1", ""]
