"""The images of every kind of INPUT, their names, files and labels."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infer.core.errors import ConfigError, DataError
from infer.model.card import ClassName
from infer.tables.inputs import FolderPaths, Inputs, read_inputs

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"))
Touch = Callable[..., None]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    def make(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make


def test_a_folder_gives_its_images_in_natural_order_with_paths_from_it(touch: Touch, tmp_path: Path) -> None:
    touch("in/img10.png", "in/img2.png", "in/sub/a.jpg", "in/notes.txt")
    inputs = read_inputs(tmp_path / "in", CLASSES)
    assert inputs.names == ["img2.png", "img10.png", "sub/a.jpg"]
    assert list(inputs.files) == [str(tmp_path / "in" / name) for name in inputs.names]
    assert (inputs.root, inputs.labels) == (tmp_path / "in", None)


def test_class_folders_give_the_true_labels_by_label_or_name(touch: Touch, tmp_path: Path) -> None:
    touch("in/007/a.png", "in/blast/b.png")
    inputs = read_inputs(tmp_path / "in", CLASSES)
    assert (inputs.names, inputs.labels) == (["007/a.png", "blast/b.png"], ["007", "blast"])
    assert inputs.labels_from == "class folders"


@pytest.mark.parametrize("other", ["loose.png", "unknown/c.png"])
def test_folders_that_are_not_all_classes_give_no_labels(other: str, touch: Touch, tmp_path: Path) -> None:
    touch("in/007/a.png", "in/1/b.png", f"in/{other}")
    assert read_inputs(tmp_path / "in", CLASSES).labels is None


def test_one_image_is_an_input(touch: Touch, tmp_path: Path) -> None:
    touch("a.JPG")
    inputs = read_inputs(tmp_path / "a.JPG", CLASSES)
    assert (inputs.names, inputs.files, inputs.root) == (["a.JPG"], [str(tmp_path / "a.JPG")], tmp_path)


@pytest.mark.parametrize("column", ["Path", "ID", "image_id", "Filename", "img"])
def test_a_csvs_image_column_gives_names_as_written_and_their_files(column: str, touch: Touch, tmp_path: Path) -> None:
    touch("images/b.png", "a.jpeg")
    (tmp_path / "t.csv").write_text(f"age,{column}\n30,b.png\n40,a\n50,b.png\n")
    inputs = read_inputs(tmp_path / "t.csv", CLASSES)
    assert inputs.names == ["b.png", "a", "b.png"]
    assert list(inputs.files) == [str(tmp_path / name) for name in ("images/b.png", "a.jpeg", "images/b.png")]
    assert inputs.labels is None


def test_a_csvs_image_column_can_be_named(touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b.png")
    (tmp_path / "t.csv").write_text("id,Slide Scan,label\n1,b.png,1\n2,a.png,007\n")
    inputs = read_inputs(tmp_path / "t.csv", CLASSES, "slide scan")
    assert (inputs.names, inputs.labels) == (["b.png", "a.png"], ["1", "007"])
    with pytest.raises(DataError, match="has no column scan, only id, Slide Scan, label; name one of them"):
        read_inputs(tmp_path / "t.csv", CLASSES, "scan")
    with pytest.raises(ConfigError, match="--image-column is for CSV files"):
        read_inputs(tmp_path, CLASSES, "scan")


def test_a_csvs_label_column_gives_the_true_labels(touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b.png")
    (tmp_path / "t.csv").write_text("Path,Label\na,007\nb,1\n")
    inputs = read_inputs(tmp_path / "t.csv", CLASSES)
    assert (inputs.labels, inputs.labels_from) == (["007", "1"], "column Label")


@pytest.mark.parametrize("name", ["t.csv", "t.TXT"])
def test_one_name_per_line_needs_no_header(name: str, touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b.png")
    (tmp_path / name).write_text("b\na.png\n")
    inputs = read_inputs(tmp_path / name, CLASSES)
    assert (inputs.names, inputs.labels) == (["b", "a.png"], None)


def test_one_name_per_line_has_its_labels_in_the_label_file_beside_it(touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b.png")
    (tmp_path / "test_img.csv").write_text("b\na\n")
    (tmp_path / "test_label.csv").write_text("007\n1\n")
    inputs = read_inputs(tmp_path / "test_img.csv", CLASSES)
    assert (inputs.labels, inputs.labels_from) == (["007", "1"], "test_label.csv")
    (tmp_path / "test_label.csv").write_text("007\n")
    with pytest.raises(DataError, match=r"test_label\.csv has 1 labels for the 2 images of .*test_img\.csv"):
        read_inputs(tmp_path / "test_img.csv", CLASSES)


def test_unusual_names_are_kept_as_they_are(touch: Touch, tmp_path: Path) -> None:
    names = ["[/x].jpg", "a,b.jpg", os.fsdecode(b"caf\xe9.jpg")]
    touch(*(f"in/{name}" for name in names))
    assert set(read_inputs(tmp_path / "in", CLASSES).names) == set(names)
    (tmp_path / "in" / "t.csv").write_bytes(b'Path\n[/x].jpg\n"a,b.jpg"\ncaf\xe9\n')
    inputs = read_inputs(tmp_path / "in" / "t.csv", CLASSES)
    assert inputs.names == ["[/x].jpg", "a,b.jpg", os.fsdecode(b"caf\xe9")]
    assert all(os.path.isfile(file) for file in inputs.files)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none", None, r"the input .*none does not exist; give a folder, a CSV"),
        ("notes.pdf", "", r"no images found: .*notes\.pdf is not a file that lab reads; give a folder"),
        ("t.csv", "\n", r"no images found: .*t\.csv is empty; write one image per line"),
        ("t.csv", "Path,label\n", r"no images found: .*t\.csv has a header and no rows"),
        (
            "t.csv",
            "age,label\n3,1\n",
            r"has the columns age, label; none is known to name images: name it with --image-column",
        ),
        ("t.csv", "nothere\n", r"has the columns nothere; none is known to name images: name it with"),
        (
            "t.csv",
            "Path,label\na,1\na\n",
            r"t\.csv, line 3: 1 values for the 2 columns of the header; complete the row",
        ),
        ("t.csv", "Path\na\nb\n", r"t\.csv names 1 images that are not below .*: b; put them there"),
        ("t.csv", "a\nb\n", r"t\.csv names 1 images that are not below .*: b; put them there"),
        ("t.csv", "b.png\na.png\n", r"t\.csv names 1 images that are not below .*: b\.png; put them there"),
        ("t.txt", "\n", r"no images found: .*t\.txt is empty; write one image per line"),
        ("t.txt", "age,label\n3,1\n", r"t\.txt names 2 images .* 3,1; .*of a table, name the column with --image-col"),
    ],
)
def test_an_input_without_images_is_refused(
    name: str, text: str | None, message: str, touch: Touch, tmp_path: Path
) -> None:
    touch("a.png")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_inputs(tmp_path / name, CLASSES)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images found in .*; lab reads JPEG, PNG"):
        read_inputs(tmp_path, CLASSES)


def test_what_lab_and_other_programs_left_in_a_folder_is_not_predicted_and_is_counted(
    touch: Touch, tmp_path: Path
) -> None:
    touch("in/normal/a.png", "in/blast/b.jpe", "in/blast/c.heic", "in/__MACOSX/._a.png", "in/sample_submission.csv")
    touch("in/old.report/report.json", "in/old.report/predictions.csv", "in/old.report/roc.png")
    inputs = read_inputs(tmp_path / "in", CLASSES)
    assert inputs.names == ["blast/b.jpe", "normal/a.png"]
    assert inputs.labels == ["blast", "normal"]
    assert inputs.note == (
        "skipped: 3 files of lab's own output (old.report); 1 helper file (__MACOSX); 1 other file (.heic)"
    )


def test_an_input_of_other_files_alone_is_refused_with_what_it_holds(touch: Touch, tmp_path: Path) -> None:
    touch("in/a.heic", "in/b.heic")
    with pytest.raises(DataError, match=r"lab reads .* GIF and DICOM; skipped: 2 other files \(\.heic\)$"):
        read_inputs(tmp_path / "in", CLASSES)


def test_images_that_match_a_pattern_are_named_from_the_folder_before_it(touch: Touch, tmp_path: Path) -> None:
    for name in ("cells/a/img10.png", "cells/a/img2.png", "cells/b/c/img3.jpg", "cells/a/notes.txt", "cells/top.png"):
        touch(name)
    inputs = read_inputs(tmp_path / "cells" / "*" / "*.png", CLASSES)
    assert inputs.names == ["a/img2.png", "a/img10.png"]
    assert inputs.files == [str(tmp_path / "cells" / name) for name in inputs.names]
    assert read_inputs(tmp_path / "cells" / "**" / "img*", CLASSES).names == [
        "a/img2.png",
        "a/img10.png",
        "b/c/img3.jpg",
    ]
    assert read_inputs(tmp_path / "cells" / "t?p.pn[g]", CLASSES).names == ["top.png"]
    assert read_inputs(tmp_path / "cells" / "a" / "*", CLASSES).note == "skipped: 1 other file (.txt)"
    with pytest.raises(DataError, match="does not exist"):
        read_inputs(tmp_path / "cells" / "*.gif", CLASSES)


def test_an_existing_name_with_brackets_is_not_a_pattern(touch: Touch, tmp_path: Path) -> None:
    touch("cells[1]/a.png")
    touch("cells1/b.png")
    assert read_inputs(tmp_path / "cells[1]", CLASSES).names == ["a.png"]


def test_a_list_on_standard_input_is_kept_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"b.png\n\nsub/a b.png\r\n\xff.png\nlast.png"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    inputs = read_inputs(Path("-"), CLASSES)
    assert inputs.names == inputs.files == ["b.png", "sub/a b.png", os.fsdecode(b"\xff.png"), "last.png"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(DataError, match="the standard input is empty"):
        read_inputs(Path("-"), CLASSES)


def test_a_standard_input_that_is_closed_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match="the standard input is closed; give INPUT a folder, or a file with a path per"):
        read_inputs(Path("-"), CLASSES)


def test_paths_on_standard_input_may_be_separated_by_nul(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"two\nlines.png\0 b.png\0")))
    assert read_inputs(Path("-"), CLASSES).names == ["two\nlines.png", " b.png"]


@pytest.mark.parametrize("name", ["10,5 mm.png", '5" disc.png', "a;b.png", "# 3.png", "a.png "])
def test_what_is_in_a_line_of_a_list_belongs_to_the_path(name: str, touch: Touch, tmp_path: Path) -> None:
    touch("in/b.png", f"in/{name}")
    (tmp_path / "in" / "l.txt").write_text(f"{name}\r\nb.png\r\n", newline="")
    inputs = read_inputs(tmp_path / "in" / "l.txt", CLASSES)
    assert inputs.names == [name, "b.png"]
    assert inputs.files == [str(tmp_path / "in" / name), str(tmp_path / "in" / "b.png")]


def test_a_list_has_its_labels_in_the_label_file_beside_it(touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b, c.png")
    (tmp_path / "test_img.txt").write_text("b, c.png\na.png\n")
    (tmp_path / "test_label.txt").write_text("007\n1\n")
    inputs = read_inputs(tmp_path / "test_img.txt", CLASSES)
    assert (inputs.labels, inputs.labels_from) == (["007", "1"], "test_label.txt")


def test_a_txt_with_a_known_header_or_a_named_column_is_a_table(touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b.png")
    (tmp_path / "t.txt").write_text("image;level\nb;1\na;007\n")
    inputs = read_inputs(tmp_path / "t.txt", CLASSES)
    assert (inputs.names, inputs.labels) == (["b", "a"], ["1", "007"])
    (tmp_path / "u.txt").write_text("scan\tage\na\t3\n")
    assert read_inputs(tmp_path / "u.txt", CLASSES, "scan").names == ["a"]


@pytest.mark.parametrize(
    ("table", "text", "labels"),
    [
        ("t.csv", "id_code\na\nb\n", None),
        ("t.csv", "id_code,diagnosis\na,1\nb,007\n", ["1", "007"]),
        ("t.csv", "id,image,label\n1,a.png,1\n2,b.png,007\n", ["1", "007"]),
        ("t.tsv", "filename\tnormal\tblast\na.png\t1\t0\nb.png\t0\t1\n", ["normal", "blast"]),
        ("metadata.jsonl", '{"file_name": "a.png", "label": "1"}\n{"file_name": "b.png", "label": "1"}\n', ["1", "1"]),
    ],
)
def test_any_table_of_images_is_an_input(
    table: str, text: str, labels: list[str] | None, touch: Touch, tmp_path: Path
) -> None:
    touch("a.png", "b.png", "1.png", "2.png")
    (tmp_path / table).write_text(text)
    inputs = read_inputs(tmp_path / table, CLASSES)
    assert [Path(file).name for file in inputs.files] == ["a.png", "b.png"]
    assert inputs.labels == labels


def test_the_label_column_of_an_input_can_be_named_and_only_of_a_table(touch: Touch, tmp_path: Path) -> None:
    touch("a.png", "b.png")
    (tmp_path / "t.csv").write_text("image,expert,student\na.png,1,007\nb.png,007,1\n")
    assert read_inputs(tmp_path / "t.csv", CLASSES).labels is None
    assert read_inputs(tmp_path / "t.csv", CLASSES, None, "expert").labels == ["1", "007"]
    with pytest.raises(ConfigError, match="--label-column is for --truth and for tables"):
        read_inputs(tmp_path, CLASSES, None, "expert")


def test_images_of_one_name_in_several_folders_need_their_paths(touch: Touch, tmp_path: Path) -> None:
    touch("left/1.png", "right/1.png", "right/2.png")
    (tmp_path / "t.csv").write_text("image,label\n1.png,1\n2.png,1\n")
    for file, text in (("t.csv", "image\n1.png\n2.png\n"), ("l.txt", "1.png\n2.png\n")):
        (tmp_path / file).write_text(text)
        with pytest.raises(DataError, match=r"'1\.png' may be left/1\.png, right/1\.png in .*; write the path in"):
            read_inputs(tmp_path / file, CLASSES)
        (tmp_path / file).write_text(text.replace("1.png", "right/1.png"))
        assert read_inputs(tmp_path / file, CLASSES).names == ["right/1.png", "2.png"]


def test_paths_of_a_folders_images_are_joined_on_access(touch: Touch, tmp_path: Path) -> None:
    touch("in/a.png", "in/sub/b.png", "in/c.png")
    files = read_inputs(tmp_path / "in", CLASSES).files
    expected = [str(tmp_path / "in" / name) for name in ("a.png", "c.png", "sub/b.png")]
    assert (list(files), len(files), files[1], files[-1]) == (expected, 3, expected[1], expected[2])
    assert list(files[1:]) == expected[1:]
    assert isinstance(files[1:], FolderPaths)  # still joined on access
    assert list(FolderPaths(Path("/"), ["a.png"])) == ["/a.png"]
    assert list(FolderPaths(Path(), ["a.png"])) == ["a.png"]
    assert list(FolderPaths(Path("cells"), ["/x/a.png", "b.png"])) == ["/x/a.png", "cells/b.png"]


def test_inputs_can_be_put_in_another_order_with_all_that_belongs_to_them() -> None:
    inputs = Inputs(
        Path("in"), ["a", "b", "c"], ["in/a", "in/b", "in/c"], ["0", "1", "2"], "column label", ["p", "", "q"]
    )
    assert inputs.in_order(range(3)) is inputs
    found = inputs.in_order([2, 0])
    assert (found.names, found.files, found.labels, found.groups) == (
        ["c", "a"],
        ["in/c", "in/a"],
        ["2", "0"],
        ["q", "p"],
    )
    bare = Inputs(Path("in"), ["a", "b"], ["in/a", "in/b"]).in_order([1, 0])
    assert (bare.names, bare.labels, bare.groups) == (["b", "a"], None, ())
