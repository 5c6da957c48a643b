from collections.abc import Callable
from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.folder_checks import table_remedy
from infer.dataset.source import read_table

Files = Callable[..., Path]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            [f"{site}/{kind}/{k}.png" for site in ("HE-100K", "HE-7K") for kind in ("ADI", "TUM") for k in (1, 2)],
            r"HE-7K, HE-100K in .*cells hold folders of the same names, ADI, TUM; if these are the classes, give "
            r".*cells/HE-7K as the data set, or list the images in .*train\.csv with the columns Path and label$",
        ),
        (
            [f"{patient}/{label}/{patient}.png" for patient in range(6) for label in range(2) if patient + label],
            r"0, 1, 2, 3, 4 and 1 more in .*cells hold folders of the same names, 0, 1",
        ),
        (
            [f"{fold}/{split}/{kind}/1.png" for fold in ("a1", "b2") for split in ("train", "val") for kind in "xy"],
            r"a1, b2 in .*cells hold folders of the same names, train, val",
        ),
        (
            ["chest/normal/1.png", "chest/pneumonia/2.png"],
            r"cells holds one folder, chest, and that normal, pneumonia; give .*cells/chest as the data set",
        ),
        (
            ["Photos/Benign/1.tif", "Photos/Normal/2.tif", "WSI/thumbs/3.png"],
            r"cells/Photos holds Benign, Normal; if these are the classes, give .*cells/Photos as the data set",
        ),
        (
            [f"{copy}{kind}/{k}.png" for copy in ("", "cells/") for kind in ("ill", "healthy") for k in (1, 2)],
            r"cells/cells holds healthy, ill; if these are the classes, give .*cells/cells as the data set, or move",
        ),
        (
            ["images_001/1.png", "images_002/2.png"],
            r"images_001, images_002 in .*cells look like parts of one set",
        ),
        (["Fold 1/1.png", "Fold 2/2.png", "other/3.png"], r"Fold 1, Fold 2 in .*cells look like parts of one set"),
        (
            ["ISIC3_Training_Input/1.png", "ISIC3_Test_Input/2.png"],
            r"ISIC3_Test_Input, ISIC3_Training_Input in .* look like splits of one",
        ),
        (
            ["scans/1.png", "Ground Truth/1.png"],
            r"Ground Truth in .*cells look like originals, masks or copies",
        ),
        (["1. Original Images/1.png", "2. All Groundtruths/1.png"], r"1\. Original Images, 2\. All Groundtruths in"),
        (
            ["train/raw/1.png", "train/augmented/1.png"],
            r"raw, augmented in .*cells/train look like originals",
        ),
        (
            ["cat/1.png", "dog/1.png", "dog/old/2.png"],
            r"cells/dog holds images at two depths, in dog, dog/old; move them to one depth, or elsewhere, or list",
        ),
        (
            [f"{eye}/images/{kind}/{k}.png" for eye in ("left", "right") for kind in ("sick", "well") for k in (1, 2)],
            r"left, right in .*cells hold folders of the same names, sick, well; if these are the classes, give "
            r".*cells/left/images as the data set, or list",
        ),
        (
            ["benign/1.png", "benign_mask/1.png", "malignant/2.png"],
            r"benign, benign_mask in .*cells look like original",
        ),
        (["JPEGImages/1.png", "SegmentationClass/1.png"], r"SegmentationClass in .*cells look like originals"),
        (["images/1.png", "images 2/2.png"], r"images 2, images in .*cells look like parts of one set"),
        (
            ["train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/cat/far/4.png"],
            r"cells/test/cat holds images at two depths, in cat, cat/far; move them to one depth, or elsewhere$",
        ),
        (
            ["cat/p1/1.png", "cat/p2/day/2.png", "dog/1.png"],
            r"cells/cat holds images at two depths, in cat/p1, cat/p2",
        ),
    ],
)
def test_folders_that_cannot_be_classes_are_refused_with_what_was_seen_and_a_remedy(
    images: list[str], message: str, files: Files
) -> None:
    with pytest.raises(DataError, match=message):
        read_table(files(*images))


@pytest.mark.parametrize(
    "images",
    [
        ["grade_1/1.png", "grade_2/2.png"],
        ["0/1.png", "1/2.png"],
        ["a/1.png", "b/1.png"],
        ["Type A/1.png", "Type B/1.png"],
        ["with_mask/1.png", "without_mask/1.png"],
        ["mask/1.png", "no mask/1.png"],
        ["segmented/1.png", "band/2.png"],
        ["raw/1.png", "ripe/1.png"],
        ["cat/p1/1.png", "cat/p2/2.png", "dog/p3/1.png", "dog/p4/1.png"],
        ["benign/SOB/1.png", "malignant/SOB/2.png"],
        [f"{kind}/SOB/{kind[0]}{k}/{zoom}/1.png" for kind in ("benign", "malignant") for k in "xy" for zoom in "48"],
        ["train/x-ray/1.png", "train/photo/1.png", "test/x-ray/2.png"],
    ],
)
def test_folders_that_may_be_classes_are_read(images: list[str], files: Files) -> None:
    assert len(read_table(files(*images))) == len(images)


def test_a_table_that_names_the_images_and_disagrees_with_their_folders_is_refused(files: Files) -> None:
    root = files(
        *(f"berlin/b{k}.png" for k in range(4)),
        *(f"oslo/o{k}.png" for k in range(4)),
        meta="file;sex;grade\n"
        + "".join(f"{place}{k}.png;{'fm'[k % 2]};{k // 2}\n" for place in "bo" for k in range(4)),
    )
    message = (
        r"meta\.csv names the images of the folders in .*cells, but no column of it agrees with the folders; move it "
        r"elsewhere if they are the classes, or give the labels with --labels .*meta\.csv, which names "
        r"the images in its column file$"
    )
    with pytest.raises(DataError, match=message):
        read_table(root)


@pytest.mark.parametrize(
    "table",
    [
        "image,age,class\n" + "".join(f"{place}{k},{40 + k},{place}\n" for place in "bo" for k in range(4)),
        "ID,label\n" + "".join(f"{place}{k}.png,berlin\n" for place in "bo" for k in range(4)),
        "class,images\nberlin,4\noslo,4\n",
    ],
)
def test_a_table_that_agrees_with_the_folders_or_names_no_images_is_no_obstacle(table: str, files: Files) -> None:
    root = files(*(f"berlin/b{k}.png" for k in range(4)), *(f"oslo/o{k}.png" for k in range(4)), notes=table)
    assert len(read_table(root)) == 8


def test_the_remedy_names_the_table_that_names_the_images(files: Files) -> None:
    root = files("x/a.png", "x/b.png", truth__labels="image_id,dx\na,nv\nb,mel\n")
    assert table_remedy(root, ["x/a.png", "x/b.png"]) == (
        f"give the labels with --labels {root}/truth/labels.csv, which names the images in its column image_id"
    )
    assert table_remedy(root, ["x/c.png", "x/d.png"]) == (
        f"list the images in {root}/train.csv with the columns Path and label"
    )
