from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.data_folders import make_files, rows_of

from infer.core.errors import DataError
from infer.dataset.class_folders import is_class_folders
from infer.dataset.layouts import read_listed
from infer.dataset.rows import Reading
from infer.dataset.source import read_table
from infer.dataset.table import TEST, TRAIN, VALID
from infer.dataset.validation import check_trainable

Files = Callable[..., Path]


def test_a_folder_per_class_is_training_and_loose_images_are_left_out(files: Files) -> None:
    table = read_table(files("cat/1.png", "dog/patient/1.png", "dog/patient/2.png", "loose.png", ".hidden/3.png"))
    assert rows_of(table) == [
        ("cat/1.png", "cat", "", TRAIN),
        ("dog/patient/1.png", "dog", "", TRAIN),
        ("dog/patient/2.png", "dog", "", TRAIN),
    ]
    assert table.notes == ("skipped: 1 hidden file (.hidden); 1 image outside of class folders (loose.png)",)


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [("train", "valid", "test"), ("Training", "Val", "TESTING"), ("training", "validation", "Test")],
)
def test_split_folders_of_class_folders_are_read_under_their_usual_names(
    train: str, valid: str, test: str, files: Files
) -> None:
    root = files(f"{train}/cat/1.png", f"{train}/dog/2.png", f"{valid}/dog/3.png", f"{test}/cat/4.png")
    assert rows_of(read_table(root)) == sorted(
        [
            (f"{train}/cat/1.png", "cat", "", TRAIN),
            (f"{train}/dog/2.png", "dog", "", TRAIN),
            (f"{valid}/dog/3.png", "dog", "", VALID),
            (f"{test}/cat/4.png", "cat", "", TEST),
        ]
    )


def test_a_flat_test_folder_has_no_labels(files: Files) -> None:
    root = files("train/cat/1.png", "train/dog/2.png", "test/3.png", "test/batch_1/4.png")
    assert rows_of(read_table(root).split(TEST)) == [
        ("test/3.png", None, "", TEST),
        ("test/batch_1/4.png", None, "", TEST),
    ]


def test_valid_and_test_folders_without_train_are_no_classes(files: Files) -> None:
    with pytest.raises(DataError, match="there are no training images in"):
        check_trainable(read_table(files("valid/cat/1.png", "valid/dog/2.png", "test/cat/3.png", "test/dog/4.png")))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["train/cat/1.png", "train/dog/2.png", "train/3.png"], r"1 images have no label: train/3\.png; label them"),
        (["train/cat/1.png", "train/dog/2.png", "val/cow/3.png"], r"validation has images of the classes cow"),
        (["cat/1.png"], r"fewer than two classes \(cat\)"),
        (["cat/notes.txt", "dog/notes.txt"], "no images found in"),
        (["train/notes.txt", "test/1.png"], "no training images in"),
    ],
)
def test_class_folders_that_no_one_can_train_on_are_refused(images: list[str], message: str, files: Files) -> None:
    with pytest.raises(DataError, match=message):
        check_trainable(read_table(files(*images)))


@pytest.mark.parametrize("name", [".cache", "__MACOSX", "@eaDir", "lost+found"])
def test_a_folder_that_holds_only_folders_of_other_programs_is_no_data_set(name: str, files: Files) -> None:
    assert not is_class_folders(files(f"{name}/a.png"))
    assert is_class_folders(files("cat/a.png"))


def test_all_folders_of_a_split_are_read_and_other_folders_are_named(files: Files) -> None:
    root = files(
        *("train/cat/1.png", "train/dog/1.png", "TestA/cat/2.png", "Test_B/dog/3.png", "extra/4.png", "extra/5.png"),
        "val_set/dog/6.png",
    )
    table = read_table(root)
    assert rows_of(table.split(TEST)) == [
        ("TestA/cat/2.png", "cat", "", TEST),
        ("Test_B/dog/3.png", "dog", "", TEST),
    ]
    assert table.split(VALID).paths == ("val_set/dog/6.png",)
    assert table.notes == ("skipped: 2 images in folders not read (extra)",)


def test_folders_named_like_a_split_are_classes_where_nothing_is_for_training(files: Files) -> None:
    table = read_table(files("test tube/1.png", "beaker/2.png"))
    assert [item.label for item in table.classes] == ["beaker", "test tube"]


def test_classes_without_images_are_named(files: Files) -> None:
    root = files("train/cat/1.png", "train/dog/2.png", "valid/cat/3.png")
    for name in ("train/cow", "valid/dog", "train/emu/notes"):
        (root / name).mkdir(parents=True)
    (root / "train" / "ewe").mkdir()
    (root / "train" / "ewe" / "1.heic").touch()
    assert read_table(root).notes == (
        "warning: no images in train/cow, train/emu, train/ewe",
        "warning: no images in valid/dog",
        "skipped: 1 other file (.heic)",
    )


def test_what_lab_and_other_programs_left_below_the_data_is_no_class(files: Files) -> None:
    root = files("cat/1.png", "dog/2.png", "@eaDir/cat/1.png", "cat/._1.png", "runs/a/report/confusion.png")
    for name in ("runs/a/recipe.toml", "runs/a/data.csv", "runs/a/report/report.json", "cat/Thumbs.db"):
        (root / name).touch()
    make_files(root, split__train="Path,label\n")
    table = read_table(root)
    assert table.paths == ("cat/1.png", "dog/2.png")
    assert table.notes == (
        "skipped: 4 files of lab's own output (runs/a); 3 helper files (._*, @eaDir, Thumbs.db); 1 other file (.csv)",
    )


def test_masks_are_left_out_and_counted_unless_they_are_kept(files: Files) -> None:
    root = files("cat/1.png", "cat/1_mask.png", "cat/1_mask_1.png", "dog/2.bmp", "dog/2-d.bmp")
    table = read_table(root)
    assert table.paths == ("cat/1.png", "dog/2.bmp")
    assert table.notes == ("skipped: 3 masks beside pictures, kept by --keep-masks (cat/1_mask.png)",)
    kept = read_listed(root, Reading(keep_masks=True))
    assert (len(kept), kept.notes) == (5, ())


def test_a_folder_of_masks_beside_one_of_images_in_each_class_is_left_out(files: Files) -> None:
    root = files(*(f"{name}/{kind}/1.png" for name in ("covid", "normal") for kind in ("images", "masks")))
    assert rows_of(read_table(root)) == [
        ("covid/images/1.png", "covid", "", TRAIN),
        ("normal/images/1.png", "normal", "", TRAIN),
    ]


def test_images_that_are_in_no_class_folder_are_refused_with_the_table_that_names_them(files: Files) -> None:
    root = files("a.png", "b.png", labels="id_code,diagnosis\na,0\nb,1\n")
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=r"are in no class folder; give the labels with --labels .*labels\.csv, which"):
        read_table(root)


def test_a_flat_folder_for_training_is_refused_with_the_table_that_names_its_images(files: Files) -> None:
    root = files("train_images/a.png", "train_images/b.png", "test_images/c.png", meta="image,level\na,0\nb,1\n")
    message = r"train_images holds images and no class folders; give .* --labels .*meta\.csv, which .* column image$"
    with pytest.raises(DataError, match=message):
        read_table(root)


def test_folders_of_a_test_split_that_are_no_classes_are_named(files: Files) -> None:
    root = files("train/cat/1.png", "train/dog/2.png", "test/hen/3.png", "test/owl/4.png", "test/5.png")
    table = read_table(root)
    assert ("test/hen/3.png", None, "", TEST) in rows_of(table)
    assert table.notes == (
        "warning: test/hen, test/owl are no classes of training; the images in them are read without a label",
    )


def test_classes_of_a_test_split_in_another_spelling_are_refused(files: Files) -> None:
    root = files("train/cat/1.png", "train/dog/2.png", "test/Cat/3.png", "test/Dog/4.png")
    with pytest.raises(DataError, match="'Cat' and 'cat', 'Dog' and 'dog'; write each class in one way"):
        read_table(root)


def test_a_flat_folder_for_training_is_refused_with_the_table_inside_it(files: Files) -> None:
    root = files("train/a.png", "train/b.png", train__metadata="file_name,grade\na.png,0\nb.png,1\n")
    with pytest.raises(DataError, match=r"give the labels with --labels .*train/metadata\.csv, which .* file_name$"):
        read_table(root)


def test_the_table_of_class_names_is_not_counted_as_left_out(files: Files) -> None:
    table = read_table(files("0/a.png", "1/b.png", classes="label,name\n0,normal\n1,blast\n", other="x\n"))
    assert [item.name for item in table.classes] == ["normal", "blast"]
    assert len(table.notes) == 1
    assert table.notes[0].startswith("skipped: 1 other file")
