"""Hugging Face's Parquet files give their embedded images byte for byte, with labels and class names."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.packed_files import encoded, labels_of, pictures, read, save_parquet

from infer.core.errors import DataError, MissingExtraError
from infer.dataset.parquet_images import holds_images

NAMES = {"label": {"names": ["normal", "benign", "malignant"], "_type": "ClassLabel"}}
IMAGES = [
    {"bytes": encoded(pixels, "JPEG"), "path": f"P{row}_1.jpg"} for row, pixels in enumerate(pictures(4, 9, 8, 3))
]


def content_of(table: Any) -> list[bytes]:
    return [Path(file).read_bytes() for file in table.files()]


def test_images_keep_their_bytes_and_names_and_labels_have_the_names_of_the_schema(tmp_path: Path) -> None:
    for number in range(2):
        save_parquet(tmp_path / f"data/train-0000{number}-of-00002.parquet", IMAGES, NAMES, label=[2, 0, number, 2])
    save_parquet(tmp_path / "data/test-00000-of-00001.parquet", IMAGES[:2], NAMES, label=[-1, None])
    (tmp_path / "README.md").write_text("---\n")
    table = read(tmp_path)
    assert content_of(table) == [image["bytes"] for image in (*IMAGES[:2], *IMAGES, *IMAGES)]
    assert table.paths[2] == "data/train-00000-of-00002/P0_1.jpg"
    assert table.splits == ("test",) * 2 + ("train",) * 8
    assert labels_of(table) == ["", "", "2", "0", "0", "2", "2", "0", "1", "2"]
    assert [str(item) for item in table.classes] == ["0 normal", "1 benign", "2 malignant"]
    assert (table.layout, table.source) == ("Hugging Face Parquet", tmp_path)
    assert read(tmp_path / "data").paths[2] == "train-00000-of-00002/P0_1.jpg"


def test_one_file_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    save_parquet(tmp_path / "test-00000-of-00002.parquet", IMAGES, NAMES, label=[2, 0, 0, 2])
    table = read(tmp_path / "test-00000-of-00002.parquet")
    assert (set(table.splits), [str(item) for item in table.classes]) == ({"test"}, ["0 normal", "2 malignant"])


def test_a_series_with_a_missing_file_is_refused(tmp_path: Path) -> None:
    save_parquet(tmp_path / "train-00001-of-00003.parquet", IMAGES, label=[0, 1, 0, 1])
    with pytest.raises(DataError, match=r"2 of 3 files are not in .*train-00000-of-00003, train-00002-of-00003"):
        read(tmp_path)


def test_text_labels_and_patients_are_read_and_reported(tmp_path: Path) -> None:
    columns = {"label": ["nv", "mel", "nv", "mel"], "patient_id": ["a", "a", "b", "c"], "age": [1.0, 2.5, None, 3]}
    save_parquet(tmp_path / "skin.parquet", IMAGES, **columns)
    table = read(tmp_path / "skin.parquet")
    assert (labels_of(table), table.groups) == (["nv", "mel", "nv", "mel"], ("a", "a", "b", "c"))
    assert table.layout == "Hugging Face Parquet, labels label, groups patient_id"


def test_two_columns_that_could_be_labels_are_chosen_between(tmp_path: Path) -> None:
    features = {
        "coarse": {"names": ["a", "b"], "_type": "ClassLabel"},
        "fine": {"names": ["x", "y", "z"], "_type": "ClassLabel"},
    }
    save_parquet(tmp_path / "x.parquet", IMAGES, features, coarse=[0, 1, 0, 1], fine=[0, 1, 2, 2])
    with pytest.raises(DataError, match=r"x\.parquet has the columns file_name, coarse, fine; .* --label-column"):
        read(tmp_path / "x.parquet")
    assert [str(item) for item in read(tmp_path / "x.parquet", label="fine").classes] == ["0 x", "1 y", "2 z"]
    assert [str(item) for item in read(tmp_path / "x.parquet", label="coarse").classes] == ["0 a", "1 b"]


def test_the_only_column_beside_the_images_is_the_label_whatever_its_name(tmp_path: Path) -> None:
    save_parquet(tmp_path / "x.parquet", IMAGES, {"dx": NAMES["label"]}, dx=[0, 1, 0, 2])
    assert labels_of(read(tmp_path / "x.parquet")) == ["0", "1", "0", "2"]


def test_unknown_labels_of_two_classes_are_not_taken_for_the_absence_of_a_finding(tmp_path: Path) -> None:
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    save_parquet(tmp_path / "x.parquet", IMAGES, features, label=[0, 1, -1, None])
    assert labels_of(read(tmp_path / "x.parquet")) == ["0", "1", "", ""]
    assert labels_of(read(tmp_path / "x.parquet", label="label")) == ["0", "1", "", ""]


@pytest.mark.parametrize(
    "path",
    [None, "", "../../x.jpg", "/etc/x.jpg", "a\0.jpg", "a\nb.jpg", ".hidden.jpg", "x" * 300 + ".jpg", "CON?.jpg"],
)
def test_a_path_that_a_disk_may_not_hold_becomes_a_number(tmp_path: Path, path: str | None) -> None:
    images = [{**IMAGES[0], "path": path}, IMAGES[1]]
    save_parquet(tmp_path / "x.parquet", images, label=[0, 1])
    table = read(tmp_path / "x.parquet")
    assert table.paths == ("x/0.jpg", "x/P1_1.jpg")
    assert content_of(table) == [image["bytes"] for image in images]


def test_images_of_one_name_or_without_a_suffix_are_all_kept(tmp_path: Path) -> None:
    names = ["a.jpg", "A.jpg", "a.jpg", "scan"]
    save_parquet(
        tmp_path / "x.parquet",
        [{**image, "path": name} for image, name in zip(IMAGES, names, strict=True)],
        label=[0, 1, 0, 1],
    )
    table = read(tmp_path / "x.parquet")
    assert table.paths == ("x/a.jpg", "x/1/A.jpg", "x/2/a.jpg", "x/scan.jpg")
    assert content_of(table) == [image["bytes"] for image in IMAGES]


def test_an_image_that_is_only_a_path_is_refused(tmp_path: Path) -> None:
    save_parquet(tmp_path / "x.parquet", [IMAGES[0], {"bytes": None, "path": "b.jpg"}], label=[0, 1])
    with pytest.raises(DataError, match=r"x\.parquet, row 2: has no embedded image, only 'b\.jpg'"):
        read(tmp_path / "x.parquet")


def test_a_list_of_labels_and_labels_without_a_name_are_refused(tmp_path: Path) -> None:
    save_parquet(tmp_path / "x.parquet", IMAGES, labels=[[0, 1], [0], [], [1]])
    with pytest.raises(DataError, match="labels holds a list of labels an image, and lab trains on one"):
        read(tmp_path / "x.parquet")
    save_parquet(tmp_path / "x.parquet", IMAGES, NAMES, label=[0, 1, 2, 3])
    with pytest.raises(DataError, match="label has the label 3, and names 3 classes"):
        read(tmp_path / "x.parquet")


def test_files_with_other_columns_are_not_joined(tmp_path: Path) -> None:
    save_parquet(tmp_path / "train-a.parquet", IMAGES, NAMES, label=[0, 1, 0, 1])
    save_parquet(tmp_path / "train-b.parquet", IMAGES, label=[0, 1, 0, 1])
    with pytest.raises(DataError, match=r"train-b\.parquet has other columns than .*train-a\.parquet"):
        read(tmp_path)


def test_two_columns_of_images_are_refused_unless_one_is_named_image(tmp_path: Path) -> None:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array(IMAGES, struct)
    pq.write_table(pa.table({"left": images, "right": images, "label": [0, 1, 0, 1]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"2 columns of embedded images \(left, right\)"):
        read(tmp_path / "x.parquet")
    pq.write_table(pa.table({"image": images, "mask": images, "label": [0, 1, 0, 1]}), tmp_path / "x.parquet")
    assert len(read(tmp_path / "x.parquet")) == 4


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save_parquet(tmp_path / "train-00000-of-00001.parquet", IMAGES, NAMES, label=[0, 1, 0, 1])
    content = bytearray((tmp_path / "train-00000-of-00001.parquet").read_bytes())
    content[20:200] = bytes(180)
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet is not a Parquet file, or is damaged"):
        read(tmp_path)


def test_a_labels_table_holds_no_images(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["a.png"], "label": [1]}), tmp_path / "labels.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    assert not any(map(holds_images, tmp_path.iterdir()))


def test_the_extra_is_named_where_pyarrow_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_parquet(tmp_path / "train-00000-of-00001.parquet", IMAGES, NAMES, label=[0, 1, 0, 1])
    pq.write_table(pa.table({"image": ["a.png"], "label": [1]}), tmp_path / "labels.parquet")
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    assert not holds_images(tmp_path / "labels.parquet")
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[parquet\]'"):
        read(tmp_path)
