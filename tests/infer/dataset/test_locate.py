import os
from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.locate import ImageIndex, Missing, find_all
from infer.images.formats import suffixes


def tree(root: Path, *names: str) -> ImageIndex:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return ImageIndex(root)


def test_a_relative_path_means_that_file(tmp_path: Path) -> None:
    index = tree(tmp_path, "train/a.jpg", "test/a.jpg")
    assert index.find("train/a.jpg") == "train/a.jpg"
    assert index.find("./test/../test/a.jpg") == "test/a.jpg"


def test_all_rows_that_name_an_image_share_one_text(tmp_path: Path) -> None:
    index = tree(tmp_path, "train/a.jpg")
    assert index.find("".join(["train", "/a.jpg"])) is index.find("".join(["train", "/a.jpg"]))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("sub/a.jpg", "a.jpg", "sub/images/a.jpg", "images/a.jpg", "else/a.jpg"), "sub/a.jpg"),
        (("a.jpg", "sub/images/a.jpg", "images/a.jpg", "else/a.jpg"), "a.jpg"),
        (("sub/images/a.jpg", "images/a.jpg", "else/a.jpg"), "sub/images/a.jpg"),
        (("images/a.jpg", "else/a.jpg"), "images/a.jpg"),
        (("else/deep/a.jpg",), "else/deep/a.jpg"),
        (("b.jpg",), None),
    ],
)
def test_a_name_is_looked_for_beside_the_table_below_the_root_in_images_and_then_anywhere(
    names: tuple[str, ...], found: str | None, tmp_path: Path
) -> None:
    assert tree(tmp_path, *names).find("a.jpg", "sub") == found


def test_a_name_without_suffix_is_tried_with_each_and_jpeg_first(tmp_path: Path) -> None:
    names = [f"d/a{suffix}" for suffix in suffixes()]
    for start, name in enumerate(names):
        root = tmp_path / str(start)
        assert tree(root, *names[start:]).find("d/a") == name
    assert names[0] == "d/a.jpeg"


def test_a_suffix_is_completed_in_capitals_too(tmp_path: Path) -> None:
    index = tree(tmp_path, "train/1.JPG", "test/1.JPG")
    assert index.find("train/1") == "train/1.JPG"


def test_a_dot_within_a_name_is_no_suffix(tmp_path: Path) -> None:
    index = tree(tmp_path, "d/scan.v1.png", "d/scan.v2.png", "e/scan.v2.png")
    assert index.find("d/scan.v2") == "d/scan.v2.png"
    assert index.find("scan.v1") == "d/scan.v1.png"


def test_a_named_suffix_is_not_exchanged_for_another(tmp_path: Path) -> None:
    assert tree(tmp_path, "a.png").find("a.jpg") is None


def test_a_bare_name_that_fits_two_files_is_refused_with_both(tmp_path: Path) -> None:
    index = tree(tmp_path, "x/a.jpg", "y/a.jpg")
    with pytest.raises(DataError, match=r"'a\.jpg' may be x/a\.jpg, y/a\.jpg in .*; write the path in the table"):
        index.find("a.jpg")


def test_an_absolute_path_is_made_relative_below_the_root_and_kept_elsewhere(tmp_path: Path) -> None:
    index = tree(tmp_path / "root", "d/a.jpg")
    (tmp_path / "other.jpg").touch()
    assert index.find(str(tmp_path / "root" / "d" / "a.jpg")) == "d/a.jpg"
    assert index.find(str(tmp_path / "other.jpg")) == str(tmp_path / "other.jpg")
    assert index.find("../other.jpg") == str(tmp_path / "other.jpg")


def test_a_hidden_image_below_the_root_is_found_by_its_absolute_path_alone(tmp_path: Path) -> None:
    index = tree(tmp_path, ".cache/0/a.png", "0/a.png")
    assert find_all(index, [f"{tmp_path}/.cache/0/a.png"], tmp_path / "t.csv") == [f"{tmp_path}/.cache/0/a.png"]
    assert index.find(".cache/0/a.png") is None


def test_a_path_from_another_machine_is_found_by_its_file_name(tmp_path: Path) -> None:
    assert tree(tmp_path, "d/a.jpg").find("/kaggle/input/cells/a.jpg") == "d/a.jpg"


def test_a_plain_name_is_never_looked_for_outside_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, real, asked = tree(tmp_path, "d/a.jpg"), os.path.isfile, []

    def isfile(path: str) -> bool:
        asked.append(path)
        return real(path)

    monkeypatch.setattr(os.path, "isfile", isfile)
    assert index.find("b.jpg") is None
    assert index.find("b.jpg", "d") is None
    assert [path for path in asked if not path.startswith(str(tmp_path))] == []


@pytest.mark.parametrize(
    "name", ["[/x].jpg", "a b,c.jpg", "ü\n.jpg", "%s{0}.jpg", os.fsdecode(b"caf\xe9.jpg"), "*.jpg"]
)
def test_a_hostile_name_is_found_like_any_other(name: str, tmp_path: Path) -> None:
    index = tree(tmp_path / "[red]", f"d/{name}", "d/other.jpg")
    assert index.find(f"d/{name}") == f"d/{name}"
    assert index.find(f"d/{name}".removesuffix(".jpg")) == f"d/{name}"


@pytest.mark.parametrize("where", [".", "lists/deep"])
def test_all_names_of_a_table_are_found_from_its_folder(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tree(tmp_path, f"{where}/a.jpg", "else/b.jpg")
    beside = "" if where == "." else f"{where}/"
    assert find_all(index, ["b", "a", "b"], tmp_path / where / "t.csv") == [
        "else/b.jpg",
        f"{beside}a.jpg",
        "else/b.jpg",
    ]
    monkeypatch.chdir(tmp_path)
    assert find_all(ImageIndex(Path()), ["a"], Path(where) / "t.csv") == [f"{beside}a.jpg"]


def test_a_root_that_is_a_link_finds_its_images(tmp_path: Path) -> None:
    tree(tmp_path / "real" / "data", "lists/a.jpg", "else/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "data")
    assert find_all(ImageIndex(tmp_path / "link"), ["a.jpg"], tmp_path / "link" / "lists" / "t.csv") == ["lists/a.jpg"]


def test_missing_images_are_counted_and_the_first_few_named(tmp_path: Path) -> None:
    index = tree(tmp_path, "a.jpg")
    names = ["a.jpg", *(f"no{number}.jpg" for number in range(7))]
    wanted = r"t\.csv names 7 images that are not below .*: no0\.jpg, .*no4\.jpg and 2 more; put them there, or correct"
    with pytest.raises(DataError, match=wanted):
        find_all(index, names, tmp_path / "t.csv")


def test_missing_names_may_stand_for_themselves_beside_the_table_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    missing: Missing = {}
    table = tmp_path / "t.csv"
    assert find_all(ImageIndex(tmp_path), ["b", "a", "c.png"], table, missing) == ["b", "a.jpg", "c.png"]
    assert missing == {"b": table, "c.png": table}


@pytest.mark.parametrize(
    "name",
    ["images\\sub\\a.png", "IMAGES/Sub/A.PNG", "D:\\work\\images\\sub\\a.png", "/mnt/x/sub/a.png", "A.png"],
)
def test_a_path_that_is_written_in_another_way_is_found_and_counted(name: str, tmp_path: Path) -> None:
    index = tree(tmp_path, "images/sub/a.png", "images/b.png")
    assert index.find(name) == "images/sub/a.png"
    assert index.find("images/b.png") == "images/b.png"
    assert (index.respelled, index.example) == (1, f"{name} is images/sub/a.png")


def test_a_name_with_a_backslash_of_its_own_is_found_as_it_is(tmp_path: Path) -> None:
    index = tree(tmp_path, "a\\b.png", "a/b.png")
    assert index.find("a\\b.png") == "a\\b.png"
    assert index.respelled == 0


def test_a_file_that_is_missing_from_its_folder_is_not_taken_from_another(tmp_path: Path) -> None:
    index = tree(tmp_path, "train/1.png", "test/1.png", "test/2.png")
    assert index.find("/kaggle/input/train/1.png") == "train/1.png"
    assert index.find("/kaggle/input/train/2.png") is None
    assert index.find("train/2.png") is None


def test_a_path_that_means_two_images_in_another_spelling_is_refused(tmp_path: Path) -> None:
    index = tree(tmp_path, "x/a.png", "X/A.png", "y/b.png", "z/b.png")
    with pytest.raises(DataError, match=r"'X/a\.png' may be X/A\.png, x/a\.png in"):
        index.find("X/a.png")
    with pytest.raises(DataError, match=r"'/w/b\.png' may be y/b\.png, z/b\.png in"):
        index.find("/w/b.png")


def test_whether_there_is_such_an_image_may_be_asked_of_any_name(tmp_path: Path) -> None:
    index = tree(tmp_path, "x/a.png", "y/a.png", "b.png")
    assert index.has("a.png")
    assert index.has("X\\A.png")
    assert not index.has("c.png")
    assert (index.respelled, index.example) == (0, "")


def test_a_path_from_the_folder_above_the_data_folder_is_found_and_counted(tmp_path: Path) -> None:
    index = tree(tmp_path / "Set-v1", "train/p1/a.jpg", "valid/p2/b.jpg")
    assert index.find("Set-v1/train/p1/a.jpg") == "train/p1/a.jpg"
    assert index.find("Set-v1/valid/p1/b.jpg") is None
    assert index.find("Other/train/p1/a.jpg") is None
    assert (index.respelled, index.example) == (1, "Set-v1/train/p1/a.jpg is train/p1/a.jpg")


def test_files_without_a_suffix_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("scans/1.2.840.1", "scans/1.2.840.2", "scans/0a1b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    index = ImageIndex(tmp_path)
    assert index.find("0a1b") == "scans/0a1b"
    assert index.find("1.2.840.2") == "scans/1.2.840.2"
