import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.data_folders import rows_of

from infer.core.errors import DataError
from infer.dataset.columns import ColumnNames
from infer.dataset.layouts import paired_labels, parts, read_listed
from infer.dataset.rows import Reading
from infer.dataset.source import read_table
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID
from infer.dataset.validation import check_trainable
from infer.model.card import ClassName

Files = Callable[..., Path]


CNMC = (
    "training_data/fold_0/all/UID_11_10_1_all.bmp",
    "training_data/fold_0/hem/UID_H10_1_1_hem.bmp",
    "training_data/fold_1/all/UID_24_8_4_all.bmp",
    "training_data/fold_2/all/UID_68_22_12_all.bmp",
    "training_data/fold_2/hem/UID_H48_2_3_hem.bmp",
    "testing_data/C-NMC_test_final_phase_data/1.bmp",
    "validation_data/C-NMC_test_prelim_phase_data/523.bmp",
)


def test_cnmc_as_distributed_has_hem_as_0_all_as_1_the_subject_as_group_and_fold_2_for_validation(files: Files) -> None:
    table = read_table(files(*CNMC))
    assert table.classes == (ClassName("normal", "0"), ClassName("blast", "1"))
    assert rows_of(table) == sorted(
        [
            (CNMC[0], "1", "11", TRAIN),
            (CNMC[1], "0", "H10", TRAIN),
            (CNMC[2], "1", "24", TRAIN),
            (CNMC[3], "1", "68", VALID),
            (CNMC[4], "0", "H48", VALID),
            (CNMC[5], None, "", TEST),
            (CNMC[6], None, "", TEST),
        ]
    )
    assert "C-NMC" in table.layout
    assert "fold 2" in table.layout


def test_another_fold_of_cnmc_can_be_set_apart_0_too(files: Files) -> None:
    table = read_table(files(*CNMC), fold=0)
    assert table.split(VALID).paths == CNMC[:2]
    assert table.split(TRAIN).paths == CNMC[2:5]


def test_a_fold_that_cnmc_does_not_have_is_refused_with_those_it_has(files: Files) -> None:
    with pytest.raises(DataError, match=r"no fold 7 in .*, only fold_0, fold_1, fold_2; lab train --fold takes one"):
        read_table(files(*CNMC), fold=7)


def test_a_cnmc_name_without_a_subject_is_refused(files: Files) -> None:
    with pytest.raises(DataError, match=r"fold_1/all/cell\.bmp is not named as C-NMC distributes it"):
        read_table(files(*CNMC, "training_data/fold_1/all/cell.bmp"))


def test_a_fold_is_refused_for_any_other_layout(files: Files) -> None:
    with pytest.raises(
        DataError, match=r"--fold chooses one of C-NMC's folds, but .* has another layout; leave --fold out"
    ):
        read_table(files("a/1.png", "b/2.png"), fold=1)


def test_column_files_pair_names_and_labels_line_by_line(files: Files) -> None:
    root = files(
        "train/a.jpeg",
        "train/a.png",
        "train/b.png",
        "c.jpg",
        "images/d.bmp",
        train_img="train/a\ntrain/b\n",
        train_label="007\n1\n",
        valid_img="c\n",
        valid_label="1\n",
        test_img="d\n",
    )
    assert rows_of(read_table(root)) == [
        ("c.jpg", "1", "", VALID),
        ("images/d.bmp", None, "", TEST),
        ("train/a.jpeg", "007", "", TRAIN),
        ("train/b.png", "1", "", TRAIN),
    ]


def test_column_files_may_know_the_tests_labels(files: Files) -> None:
    root = files("a.png", "b.png", train_img="a\nb\n", train_label="0\n1\n", test_img="b.png\n", test_label="1\n")
    assert read_table(root).counts(TEST) == [0, 1]


@pytest.mark.parametrize("labels", ["0\n", "0\n1\n1\n", "0\n\n"])
def test_column_files_of_different_lengths_are_refused(labels: str, files: Files) -> None:
    root = files("a.png", "b.png", train_img="a\nb\n", train_label=labels)
    with pytest.raises(DataError, match=r"train_label\.csv has \d labels for the 2 images of .*train_img\.csv; give"):
        read_table(root)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_missing_label_file_is_named(split: str, files: Files) -> None:
    root = files("a.png", "b.png", train_img="a\nb\n", train_label="0\n1\n", valid_img="a\n", valid_label="0\n")
    (root / f"{split}_label.csv").unlink()
    with pytest.raises(DataError, match=rf"cannot read .*{split}_label\.csv"):
        read_table(root)


def test_labels_are_paired_with_names_as_text(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("007\n1.0\n")
    assert paired_labels(tmp_path / "i.csv", ["a", "b"], tmp_path / "l.csv") == ["007", "1.0"]


def test_csv_files_with_path_and_label_are_read_with_every_test_file_once(files: Files) -> None:
    root = files(
        *(f"images/{name}.png" for name in "abcdef"),
        train="Path,label\nimages/a.png,007\nb,1\n",
        valid="Path,label\nimages/c.png,1\n",
        resnet_18_test="Path\nd.png\ne.png\n",
        resnet_50_test="Path\ne.png\nimages/f.png\n",
        test="Path,label\nd,007\n",
    )
    table = read_table(root)
    assert rows_of(table) == [
        ("images/a.png", "007", "", TRAIN),
        ("images/b.png", "1", "", TRAIN),
        ("images/c.png", "1", "", VALID),
        ("images/d.png", "007", "", TEST),
        ("images/e.png", None, "", TEST),
        ("images/f.png", None, "", TEST),
    ]
    assert table.layout == "train.csv with Path and label"


@pytest.mark.parametrize("column", ["group", "patient", "patient_id", "Subject"])
def test_a_group_column_is_understood_in_any_place_and_case(column: str, files: Files) -> None:
    root = files("a.png", "b.png", train=f"{column},LABEL,PATH\np1,0,a.png\n,1,b.png\n")
    assert rows_of(read_table(root)) == [("a.png", "0", "p1", TRAIN), ("b.png", "1", "", TRAIN)]


def test_an_image_in_test_files_with_and_without_groups_is_listed_once(files: Files) -> None:
    root = files(
        "a.png", "b.png", "c.png", train="Path,label\na,0\nb,1\n", x_test="Path,patient\nc,p1\n", y_test="Path\nc\n"
    )
    assert read_table(root).split(TEST).paths == ("c.png",)


def test_the_built_in_sets_files_are_read_with_the_tests_truth_apart(cells: Path) -> None:
    table = read_table(cells)
    assert [len(table.split(split)) for split in (TRAIN, VALID, TEST)] == [24, 12, 12]
    assert table.classes == (ClassName("normal", "0"), ClassName("blast", "1"))
    assert (table.split(TEST).labels == UNKNOWN).all()


def test_classes_csv_names_the_labels_that_it_lists(files: Files) -> None:
    root = files("a.png", "b.png", "c.png", train="Path,label\na,0\nb,1\nc,2\n", classes="label,name\n1,blast\n")
    assert read_table(root).classes == (ClassName("0", "0"), ClassName("blast", "1"), ClassName("2", "2"))


def test_numeric_classes_are_in_the_order_of_their_values(files: Files) -> None:
    labels = ["10", "9", "007", "2", "0"]
    names = [f"{label}/{label}.png" for label in labels]
    root = files(*names, train="Path,label\n" + "".join(f"{p},{y}\n" for p, y in zip(names, labels, strict=True)))
    assert [item.label for item in read_table(root).classes] == ["0", "2", "007", "9", "10"]


def test_text_of_a_label_is_kept_as_read(files: Files) -> None:
    root = files("007/a.png", "8.0/b.png", " 9/c.png", "1e3/d.png")
    assert {item.label for item in read_table(root).classes} == {"007", "8.0", " 9", "1e3"}


def test_a_form_with_a_table_wins_over_class_folders(files: Files) -> None:
    table = read_table(files("x/a.png", "y/b.png", train="Path,label\nx/a.png,1\ny/b.png,0\n"))
    assert rows_of(table) == [("x/a.png", "1", "", TRAIN), ("y/b.png", "0", "", TRAIN)]


@pytest.mark.parametrize(
    "name", ["[/x].jpg", "[red].jpg", "ü ö.jpg", "a'b.jpg", "<i>.jpg", os.fsdecode(b"caf\xe9.jpg")]
)
def test_hostile_names_are_read_in_folders_and_tables(name: str, files: Files) -> None:
    root = files(f"train/0/{name}", "train/1/b.jpg")
    assert f"train/0/{name}" in read_table(root).paths
    (root / "train.csv").write_bytes(b"Path,label\n" + os.fsencode(f"train/0/{name},0\ntrain/1/b,1\n"))
    assert read_table(root).paths == (f"train/0/{name}", "train/1/b.jpg")


@pytest.mark.parametrize("form", ["folders", "table"])
def test_a_data_folder_with_a_hostile_name_is_read(form: str, tmp_path: Path) -> None:
    root = tmp_path / "[bold] *?"
    for name in ("x/a.png", "y/b.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    if form == "table":
        (root / "train.csv").write_text("Path,label\nx/a,x\ny/b,y\n")
        (root / "one_test.csv").write_text("Path\nx/a\n")
    table = read_table(root)
    assert table.name == "[bold] *?"
    assert table.counts(TRAIN) == [1, 1]
    assert len(table.split(TEST)) == (form == "table")


def test_a_relative_data_folder_gets_its_own_name(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files("a/1.png", "b/2.png"))
    table = read_table(Path())
    assert table.name == "cells"
    assert all(Path(file).is_file() for file in table.files())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, what in (("none", "does not exist"), ("file", "is a file")):
        with pytest.raises(DataError, match=rf"the data folder .*{name} {what}; check the path"):
            read_table(tmp_path / name)


def test_an_unknown_layout_is_refused_with_what_the_folder_holds(files: Files) -> None:
    with pytest.raises(DataError, match=r"no data set recognised in .*, which holds nothing; lab reads class folders"):
        read_table(files())
    with pytest.raises(
        DataError, match=r"files that hold images: MedMNIST npz \(\.npz\), PatchCamelyon HDF5 \(\.h5\), Hu"
    ):
        read_table(files())
    with pytest.raises(DataError, match=r"which holds a\.png, labels\.csv; lab reads class folders, train\.csv"):
        read_table(files("a.png", labels="Path,label\n"))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"train": "where,label\na,0\n"},
            r"train\.csv has the columns where, label; none is known to name images",
        ),
        ({"train": "Path\na\n"}, r"train\.csv has the columns Path; none is known to hold labels: name it with --la"),
        ({"train": "a.png,0\nb.png,1\n"}, r"train\.csv has no header, its first line is a\.png, 0; write the names"),
        ({"train": "Path,label\na,0\nPath,label\nb,1\n"}, r"train\.csv, line 3: the header Path, label again; remove"),
        ({"train": "Path,label,Label\na,0,0\nb,1,1\n"}, r"train\.csv has two columns of one name: label, Label; keep"),
        ({"train": ""}, r"train\.csv is empty; it needs Path and label in its first line"),
        ({"train": "Path,label\na,0\n", "valid": "Path\nb\n"}, r"valid\.csv has the columns Path; none is known to"),
        (
            {"train": "Path,label\na,0\n", "x_test": "label\n0\n"},
            r"x_test\.csv has the columns label; none is known to name images: name it with --image-c",
        ),
        (
            {"train": "Path,label\na,0\nb\n"},
            r"train\.csv, line 3: 1 values for the 2 columns of the header; complete the row",
        ),
        ({"train": "Path,label\na,0\nnone,1\n"}, r"train\.csv names 1 images that are not below .*: none; put them th"),
        (
            {"train": "Path,label\na,0\na,0\nb,\n", "test": "Path,label\na,1\n"},
            r"1 images have no label: b\.png; label them or leave them out",
        ),
        ({"train": "Path,label\na,0\nb,1\na,1\n"}, r"1 images are listed with two labels: a\.png; keep the right one"),
        ({"train": "Path,label\na,0\nb,1\n", "test": "Path,label\nb,0\n"}, r"listed with two labels: b\.png; keep"),
        ({"train": "Path,label\na,0\nb,0\n"}, r"has fewer than two classes \(0\); give images of each class"),
        ({"train": "Path,label\n", "test": "Path\na\n"}, "no training images in"),
        ({"train": "Path,label\n"}, r"no images found in .*cells; lab reads JPEG"),
        ({"train": "Path,label\n", "valid": "Path,label\na,0\nb,1\n"}, r"no training images in .*; lab needs a train"),
        ({"train": "Path,label\na,0\n", "valid": "Path,label\nb,1\n"}, r"validation has images of the classes 1, trai"),
        ({"train": "Path,label\na,0\n", "test": "Path,label\nb,1\n"}, r"test has images of the classes 1, training ha"),
        ({"train_img": "a\nnone\n", "train_label": "0\n1\n"}, r"train_img\.csv names 1 images that are not below"),
    ],
)
def test_a_table_that_no_one_can_train_on_is_refused(texts: dict[str, str], message: str, files: Files) -> None:
    with pytest.raises(DataError, match=message):
        check_trainable(read_table(files("a.png", "b.png", **texts)))


def test_a_name_that_may_be_two_files_is_refused(files: Files) -> None:
    with pytest.raises(DataError, match=r"'a\.png' may be x/a\.png, y/a\.png in .*; write the path in the table"):
        read_table(files("x/a.png", "y/a.png", train="Path,label\na.png,0\n"))


def test_more_images_without_label_than_a_line_holds_are_counted(files: Files) -> None:
    names = [f"{number}.png" for number in range(9)]
    with pytest.raises(DataError, match=r"7 images have no label: 2\.png, 3\.png, 4\.png, 5\.png, 6\.png and 2 more;"):
        read_table(files(*names, train="Path,label\n0,a\n1,b\n" + "".join(f"{n},\n" for n in names[2:])))


def test_training_classes_are_checked_again_after_images_have_gone(files: Files) -> None:
    table = read_table(files("train/cat/1.png", "train/dog/2.png", "valid/dog/3.png"))
    check_trainable(table)
    left = table.take(np.flatnonzero([path != "train/dog/2.png" for path in table.paths]))
    with pytest.raises(DataError, match=r"validation has images of the classes dog, training has none; move some"):
        check_trainable(left)


def test_the_parts_of_cnmc_are_its_folds_and_of_other_layouts_the_splits(files: Files) -> None:
    table = read_table(files(*CNMC))
    assert dict(zip(table.paths, parts(table), strict=True))[CNMC[2]] == "fold_1"
    assert sorted(set(parts(table))) == ["fold_0", "fold_1", "fold_2", "test"]


def test_the_parts_of_class_folders_are_the_splits(files: Files) -> None:
    table = read_table(files("train/cat/1.png", "train/dog/2.png", "valid/cat/3.png"))
    assert parts(table) == table.splits


def test_a_table_that_is_refused_can_still_be_listed(files: Files) -> None:
    root = files("a.png", "b.png", train="Path,label\na,0\nnone,1\nb,\na,1\n")
    reading = Reading()
    table = read_listed(root, reading)
    assert rows_of(table) == [
        ("a.png", "0", "", TRAIN),
        ("a.png", "1", "", TRAIN),
        ("b.png", None, "", TRAIN),
        ("none", "1", "", TRAIN),
    ]
    assert reading.missing == {"none": root / "train.csv"}


def test_an_archive_and_files_that_hold_no_labelled_images_are_refused_with_what_to_do(files: Files) -> None:
    root = files()
    (root / "cells.zip").touch()
    with pytest.raises(DataError, match=r"cells\.zip is an archive; unpack it, and give the folder"):
        read_table(root / "cells.zip")
    (root / "some.tar.gz").touch()
    with pytest.raises(DataError, match=r"no images with labels in some\.tar\.gz; name .*some\.tar\.gz to see what"):
        read_table(root)


def test_a_finding_among_several_in_a_cell_is_looked_for_in_all_tables_of_a_set(files: Files) -> None:
    root = files(
        *(f"{name}.png" for name in "abcdef"),
        train="Path,labels\na,rust\nb,scab\nc,rust scab\n",
        test="Path,labels\nd,rust\ne,scab\nf,\n",
    )
    table = read_listed(root, Reading(columns=ColumnNames(label="rust")))
    assert [row[:2] for row in rows_of(table)] == [
        *(("a.png", "1"), ("b.png", "0"), ("c.png", "1")),
        *(("d.png", "1"), ("e.png", "0"), ("f.png", None)),
    ]
