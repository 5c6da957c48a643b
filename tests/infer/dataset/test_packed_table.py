"""Labels, groups, splits and classes of unpacked data sets follow the rules of labels tables."""

from pathlib import Path

import pytest
from helpers.packed_files import encoded, labels_of, pictures, read, save_npz, save_parquet

from infer.core.errors import DataError

IMAGES = [{"bytes": encoded(pixels, "PNG"), "path": f"{row}.png"} for row, pixels in enumerate(pictures(4, 9, 8, 3))]


def test_a_column_of_images_cannot_be_chosen(tmp_path: Path) -> None:
    save_npz(tmp_path / "some.npz")
    with pytest.raises(DataError, match=r"--image-column is for a table .*some\.npz holds its own"):
        read(tmp_path / "some.npz", image="train_images")


def test_columns_that_the_user_names_are_taken(tmp_path: Path) -> None:
    columns = {
        "label": [0, 1, 0, 1],
        "grade": [2, 3, 4, 2],
        "who": ["a", "a", "b", "c"],
        "part": ["train"] * 3 + ["test"],
    }
    save_parquet(tmp_path / "x.parquet", IMAGES, **columns)
    table = read(tmp_path / "x.parquet", label="grade", group="who", split="part")
    assert (labels_of(table), table.groups, table.splits[2:]) == (
        ["2", "3", "4", "2"],
        ("a", "a", "b", "c"),
        ("train", "test"),
    )
    assert table.layout == "Hugging Face Parquet, labels grade, groups who, splits part"
    with pytest.raises(DataError, match=r"--label-column dx: .*x\.parquet has no column dx"):
        read(tmp_path / "x.parquet", label="dx")


def test_columns_of_any_name_and_cells_of_any_text_are_told_apart(tmp_path: Path) -> None:
    columns = {"a;b;c": ["x\ty", 'x"y', "x\ny", "x,y"], "d\te": [1.0, float("nan"), None, 0.0], "": [0, 0, 0, 0]}
    save_parquet(tmp_path / "x.parquet", IMAGES, **columns)
    assert labels_of(read(tmp_path / "x.parquet", label="a;b;c")) == ["x\ty", 'x"y', "x\ny", "x,y"]
    assert labels_of(read(tmp_path / "x.parquet", label="d\te")) == ["1", "0", "0", "0"]  # blank is no finding


def test_classes_that_do_not_occur_are_not_trained_on(tmp_path: Path) -> None:
    features = {"label": {"names": ["a", "b", "c"], "_type": "ClassLabel"}}
    save_parquet(tmp_path / "x.parquet", IMAGES, features, label=[2, 0, 2, 0])
    table = read(tmp_path / "x.parquet")
    assert ([str(item) for item in table.classes], table.labels.tolist()) == (["0 a", "2 c"], [1, 0, 1, 0])


def test_names_that_two_classes_share_are_no_names(tmp_path: Path) -> None:
    features = {"label": {"names": ["a", "a"], "_type": "ClassLabel"}}
    save_parquet(tmp_path / "x.parquet", IMAGES, features, label=[1, 0, 1, 0])
    assert [str(item) for item in read(tmp_path / "x.parquet").classes] == ["0", "1"]
