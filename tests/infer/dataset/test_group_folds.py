import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from infer.dataset.group_folds import first_group_fold, number_groups


def sklearn_fold(labels: np.ndarray, names: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold whose equal is promised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer images than folds
        kind = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        return np.array(next(iter(kind.split(labels, labels, names)))[1])


def drawn(classes: int, images: int, groups: int, alone: float, seed: int) -> tuple[np.ndarray, list[str]]:
    """Labels of uneven frequency, and groups of uneven size of which some images have none."""
    random = np.random.default_rng(seed)
    labels = np.minimum(random.integers(0, classes, images), random.integers(0, classes, images))
    numbers = np.minimum(random.integers(0, groups, images), random.integers(0, groups, images))
    names = ["" if lone < alone else f"p{number}" for number, lone in zip(numbers, random.random(images), strict=True)]
    return labels, names


@pytest.mark.parametrize(
    ("classes", "images", "groups", "alone", "folds"),
    [
        (1, 40, 12, 0.0, 5),
        (2, 150, 30, 0.0, 5),
        (2, 150, 30, 0.5, 3),
        (3, 200, 150, 0.9, 5),
        (7, 120, 40, 0.2, 5),
        (8, 120, 40, 0.2, 5),
        (9, 120, 30, 0.2, 2),
        (150, 400, 60, 0.1, 5),
    ],
)
def test_the_fold_is_that_of_scikit_learn(classes: int, images: int, groups: int, alone: float, folds: int) -> None:
    for seed in range(2):
        labels, names = drawn(classes, images, groups, alone, seed)
        texts = np.array([name or f"\0{row}" for row, name in enumerate(names)])
        numbers = number_groups(names, np.arange(images))
        np.testing.assert_array_equal(numbers, np.unique(texts, return_inverse=True)[1])
        fold = first_group_fold(labels, numbers, folds, seed)
        np.testing.assert_array_equal(fold, sklearn_fold(labels, texts, folds, seed))


def test_a_patients_images_of_one_class_make_the_fold_of_scikit_learn_too() -> None:
    labels = np.repeat(np.arange(60) % 4, 3) * 2  # classes 0, 2, 4, 6: the others have no images
    names = [f"patient {row // 3}" for row in range(180)]
    fold = first_group_fold(labels, number_groups(names, np.arange(180)), 5, 11)
    np.testing.assert_array_equal(fold, sklearn_fold(labels, np.array(names), 5, 11))


def test_images_without_a_group_are_numbered_by_the_digits_of_their_rows() -> None:
    rows = np.array([2, 10, 9, 100, 11, 1])
    assert number_groups(["", "", "b", "", "a", ""], rows).tolist() == [3, 1, 5, 2, 4, 0]
    assert number_groups([""] * 3, np.array([30, 4, 5])).tolist() == [0, 1, 2]
