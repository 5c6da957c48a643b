"""WebDataset's samples give their images byte for byte, with labels of .cls or .json; hostile files are refused."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from helpers.packed_files import encoded, labels_of, pictures, read, save_tar

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.dataset.tar_samples import MAX_TEXT, is_webdataset

JPEG, PNG = encoded(pictures(1, 9, 8, 3)[0], "JPEG"), encoded(pictures(1, 7, 6)[0], "PNG")


def test_samples_are_grouped_by_base_name_and_split_by_the_files_names(tmp_path: Path) -> None:
    save_tar(tmp_path / "train-000000.tar", {"0001.jpg": JPEG, "0001.cls": b"1", "a/2.x.png": PNG, "a/2.cls": b"0\n"})
    # members of a sample that are not side by side
    save_tar(tmp_path / "train-000001.tar", {"0001.cls": b"1", "0002.cls": b"0", "0002.PNG": PNG, "0001.jpg": JPEG})
    save_tar(tmp_path / "val-000000.tar", {"./0001.png": PNG, "./0001.json": b'{"label": 1, "width": 6}'})
    table = read(tmp_path)
    assert [Path(file).read_bytes() for file in table.files()] == [JPEG, PNG, JPEG, PNG, PNG]
    assert table.paths == (
        *("train-000000/0001.jpg", "train-000000/a/2.x.png"),
        *("train-000001/0001.jpg", "train-000001/0002.PNG", "val-000000/0001.png"),
    )
    assert table.splits == ("train",) * 4 + ("valid",)
    assert labels_of(table) == ["1", "0", "1", "0", "1"]
    assert table.layout.startswith("WebDataset tar")


def test_files_in_folders_of_splits_are_read_by_these(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save_tar(tmp_path / split / "0.tar", {"s0.png": PNG, "s0.cls": b"cat", "s1.png": PNG, "s1.cls": b"dog"})
    table = read(tmp_path)
    assert table.splits == ("test", "test", "train", "train")
    assert [str(item) for item in table.classes] == ["cat", "dog"]


def test_json_tells_label_and_patient_by_its_keys(tmp_path: Path) -> None:
    records = [
        {"dx": "nv", "patient": 3, "report": "x" * 1000},
        {"patient": 4, "dx": "mel", "site": None},
        {"dx": "nv"},
    ]
    members = {}
    for row, record in enumerate(records):
        members |= {f"{row}.png": PNG, f"{row}.json": json.dumps(record).encode()}
    save_tar(tmp_path / "skin.tar", members)
    with pytest.raises(DataError, match=r"skin\.tar has the columns file_name, dx, patient; .* --label-column"):
        read(tmp_path / "skin.tar")
    table = read(tmp_path / "skin.tar", label="dx")
    assert (labels_of(table), table.groups) == (["nv", "mel", "nv"], ("3", "4", ""))
    assert table.layout == "WebDataset tar, labels dx, groups patient"


def test_a_sample_without_an_image_is_left_out_and_reported(tmp_path: Path, heard: tuple[Screen, io.StringIO]) -> None:
    save_tar(tmp_path / "x.tar", {"1.png": PNG, "1.cls": b"0", "dataset.json": b"{}", "2.cls": b"1", "._1.png": b"x"})
    screen, text = heard
    assert len(read(tmp_path / "x.tar", screen)) == 1
    assert "left out: 2 samples without an image: x.tar/dataset, x.tar/2" in text.getvalue()


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"../1.png": PNG, "../1.cls": b"0"}, "names members outside itself"),
        ({"/1.png": PNG, "/1.cls": b"0"}, "names members outside itself"),
        ({"1.png": PNG, "1.jpg": JPEG, "1.cls": b"0"}, r"the sample 1 has several images, 1\.png, 1\.jpg"),
        ({"1.png": PNG, "1.PNG": PNG, "1.cls": b"0"}, r"two members of one name: 1\.PNG"),
        ({"1.png": PNG, "1.json": b'{"label": [0, 2]}'}, "label holds a list of labels"),
        ({"1.png": PNG, "1.json": b'{"label": '}, r"1\.json is not JSON"),
        ({"1.png": PNG, "1.json": b"[" * 100_000}, r"1\.json is not JSON"),
        ({"1.png": PNG, "1.cls": b"0" * (MAX_TEXT + 1)}, "more than a label has"),
        ({"1.png": PNG, "1.txt": b"a caption"}, "no labels beside its images"),
    ],
)
def test_hostile_and_ambiguous_files_are_refused(tmp_path: Path, members: dict[str, bytes], named: str) -> None:
    save_tar(tmp_path / "x.tar", members)
    with pytest.raises(DataError, match=named):
        read(tmp_path / "x.tar")
    assert not list(tmp_path.parent.glob("1.*"))


def test_links_and_devices_are_no_members(tmp_path: Path) -> None:
    save_tar(tmp_path / "x.tar", {"1.png": PNG, "1.cls": b"0"})
    with tarfile.open(tmp_path / "x.tar", "a") as archive:
        link = tarfile.TarInfo("2.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert read(tmp_path / "x.tar").paths == ("x/1.png",)


def test_a_compressed_and_a_truncated_file_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("1.png"))
    with pytest.raises(DataError, match=r"x\.tar\.gz is compressed as a whole, .*; make it a \.tar"):
        read(tmp_path / "x.tar.gz")
    save_tar(tmp_path / "x.tar", {"1.cls": b"0", "1.png": PNG * 50})
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:1700])
    with pytest.raises(DataError, match=r"x\.tar.* damaged"):
        read(tmp_path / "x.tar")


def test_an_archive_of_plain_images_is_no_webdataset(tmp_path: Path) -> None:
    save_tar(tmp_path / "a.tar", {"cat/1.png": PNG, "dog/1.png": PNG})
    save_tar(tmp_path / "b.tar", {"1.png": PNG, "2.cls": b"0"})
    save_tar(tmp_path / "c.tar", {"1.cls": b"0", "1.png": PNG})
    (tmp_path / "d.tar").write_bytes(b"no archive" * 100)
    assert [name for name in "abcd" if is_webdataset(tmp_path / f"{name}.tar")] == ["c"]
