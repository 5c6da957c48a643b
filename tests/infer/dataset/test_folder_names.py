import pytest

from infer.dataset.folder_names import masks_and_copies, numbered_parts, split_of, splits_by_name, words_of
from infer.dataset.table import TEST, TRAIN, VALID


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TrainSet_2b", ["train", "set", "2", "b"]),
        ("HAM10000_images_part_1", ["ham", "10000", "images", "part", "1"]),
        ("1. Original Images", ["1", "original", "images"]),
        ("Lésions", ["lésions"]),
        ("--", []),
    ],
)
def test_names_are_split_into_words_and_numbers(name: str, words: list[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, TRAIN) for name in ("train", "Training", "train_set", "TrainImages", "trainset", "training-1")),
        *((name, VALID) for name in ("val", "Validation Set", "valid_data")),
        *((name, TEST) for name in ("test", "TestB", "testing_2", "test set a", "Test_Images")),
        *((name, None) for name in ("contest", "test_cat", "train_test", "cat", "", "training_masks")),
    ],
)
def test_the_split_that_a_name_means_is_recognised(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["batch_1", "batch_2", "other"], ["batch_1", "batch_2"]),
        (["Part A", "Part B"], ["Part A", "Part B"]),
        (["Volume I", "Volume II"], ["Volume I", "Volume II"]),
        (["patient 07", "patient 11"], ["patient 07", "patient 11"]),
        (["part1of2", "part2of2"], ["part1of2", "part2of2"]),
        (["images", "images (2)", "cat"], ["images", "images (2)"]),
        (["Hospital A", "Hospital B"], ["Hospital A", "Hospital B"]),
        (["stage1", "stage2"], []),
        (["part_1", "batch_1"], []),
        (["1", "2"], []),
    ],
)
def test_numbered_parts_are_recognised_by_the_word_before_the_number(names: list[str], parts: list[str]) -> None:
    assert numbered_parts(names) == parts


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["Task3_Training_Input", "Task3_Validation_Input"], True),
        (["chest train", "chest test"], True),
        (["train", "cat"], False),
        (["cat", "dog"], False),
        (["train"], False),
    ],
)
def test_names_that_differ_only_in_the_split_are_recognised(names: list[str], found: bool) -> None:
    assert splits_by_name(names) == (names if found else [])


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["images", "masks"], ["images", "masks"]),
        (["Original", "Resized"], ["Original", "Resized"]),
        (["cell images", "cell segmentation"], ["cell images", "cell segmentation"]),
        (["cat", "dog", "annotations"], ["annotations"]),
        (["lesion", "lesion GT"], ["lesion", "lesion GT"]),
        (["JPEGImages", "SegmentationObject"], ["SegmentationObject"]),
        (["mask", "no_mask"], []),
        (["normal", "normal_light"], []),
        (["Original", "Fake"], []),
    ],
)
def test_originals_with_what_was_made_of_them_are_recognised(names: list[str], found: list[str]) -> None:
    assert masks_and_copies(names) == found
