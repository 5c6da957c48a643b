from collections.abc import Callable

import numpy as np
import pytest

from infer.dataset.near_duplicates import BLOCK, CLOSEST, PROMISING, SIDE, Floats, likeness, near_pairs, signature

TURNS: list[Callable] = [
    lambda g: g,
    lambda g: g[::-1],
    lambda g: g[:, ::-1],
    lambda g: g[::-1, ::-1],
    lambda g: g.T,
    lambda g: g.T[::-1],
    lambda g: g.T[:, ::-1],
    lambda g: g.T[::-1, ::-1],
]


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)


def alike(first: np.ndarray, second: np.ndarray) -> float:
    return float(likeness(signature(first)[None], signature(second)[None])[0])


def by_hand(first: Floats, second: Floats) -> float:
    """The largest scalar product over the eight ways of holding the second picture's pixels."""
    return max(float((signature(first) * signature(turn(second))).sum()) for turn in TURNS)


@pytest.mark.parametrize("turn", TURNS)
def test_a_mirror_image_and_a_turned_picture_are_the_same(turn: Callable) -> None:
    assert alike(picture(0), turn(picture(0))) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_likeness_is_the_best_over_all_turned_pixels(seed: int) -> None:
    mixed = (picture(seed) // 2 + TURNS[seed](picture(seed + 100)) // 2).astype(np.uint8)
    assert alike(mixed, picture(seed + 100)) == pytest.approx(by_hand(mixed, picture(seed + 100)), abs=1e-5)


def test_brightness_and_contrast_do_not_count() -> None:
    half = (picture(0) // 2).astype(np.uint8)
    assert alike(picture(0), half + 100) > 0.999


def test_different_pictures_are_not_alike() -> None:
    assert alike(picture(0), picture(1)) < 0.5


def test_a_blank_picture_is_like_nothing_not_even_itself() -> None:
    blank = np.full((SIDE, SIDE), 7, dtype=np.uint8)
    assert alike(blank, blank) == 0
    assert not signature(blank).any()


def noisy(count: int, seed: int = 0) -> Floats:
    found = np.random.default_rng(seed).normal(size=(count, 16, 16))
    return (found / np.linalg.norm(found, axis=(1, 2), keepdims=True)).astype(np.float32)


def test_all_near_pairs_are_found_however_they_are_turned_and_wherever_they_lie() -> None:
    signatures = noisy(BLOCK + 300)
    signs = np.where(np.arange(16) % 2, -1, 1)
    signatures[BLOCK + 7] = signatures[3].T * signs
    signatures[20] = signatures[10] * signs[:, None]
    near, _ = near_pairs(signatures, 0.99)
    assert sorted(map(tuple, near.indices.tolist())) == [(3, BLOCK + 7), (10, 20)]
    assert near.likeness == pytest.approx(1, abs=1e-5)


def test_near_pairs_are_those_that_comparing_each_with_each_finds() -> None:
    signatures = np.concatenate([noisy(30), noisy(30) + 0.2 * noisy(30, 1), noisy(30) + 0.6 * noisy(30, 2)])
    signatures /= np.linalg.norm(signatures, axis=(1, 2), keepdims=True)
    first, second = np.triu_indices(len(signatures), 1)
    every = likeness(signatures[first], signatures[second])
    near, below = near_pairs(signatures, 0.9)
    assert {tuple(pair) for pair in near.indices.tolist()} == set(
        zip(first[every >= 0.9].tolist(), second[every >= 0.9].tolist(), strict=True)
    )
    assert len(near.likeness) >= 30
    assert (np.diff(near.likeness) <= 0).all()
    others = np.sort(every[every < 0.9])[::-1][:CLOSEST]
    sure = others[others >= PROMISING]
    assert below.likeness[: len(sure)] == pytest.approx(sure, abs=1e-5)


def test_one_picture_and_none_have_no_pairs() -> None:
    for count in (0, 1):
        near, below = near_pairs(noisy(count), 0.99)
        assert len(near.likeness) == len(below.likeness) == 0


def test_the_search_ends_where_there_are_too_many_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.dataset.near_duplicates.MOST_PAIRS", 100)
    near, _ = near_pairs(np.repeat(noisy(1), 300, axis=0), 0.99)
    assert len(near.likeness) > 100
