from collections import Counter

import numpy as np
import pytest
import torch

from trainer.data.sampling import Rows, epoch_order


def a_table(counts: list[int]) -> tuple[Rows, Rows]:
    """Rows that are not 0 to n, and labels, mixed."""
    labels = np.random.default_rng(7).permutation(np.repeat(np.arange(len(counts)), counts))
    return np.arange(len(labels)) * 3 + 5, labels


def seen_by_class(order: Rows, rows: Rows, labels: Rows) -> dict[int, Counter[int]]:
    """How often each row of each class stands in an order."""
    often = Counter(order.tolist())
    return {
        label: Counter({row: often[row] for row in rows[labels == label].tolist()})
        for label in np.unique(labels).tolist()
    }


def test_shuffle_has_every_image_once() -> None:
    rows, labels = a_table([5, 30, 2])
    assert sorted(epoch_order(rows, labels, "shuffle", 0, 1).tolist()) == rows.tolist()


@pytest.mark.parametrize("counts", [[1, 500], [1, 1, 1], [7, 3], [10, 11, 12, 1, 90], [20, 0, 5]])
def test_balanced_has_every_class_and_within_a_class_every_image_equally_often_to_one(counts: list[int]) -> None:
    rows, labels = a_table(counts)
    for epoch in (1, 2):
        order = epoch_order(rows, labels, "balanced", 3, epoch)
        assert len(order) == len(rows)
        assert set(order.tolist()) <= set(rows.tolist())
        seen = seen_by_class(order, rows, labels)
        quotas = [often.total() for often in seen.values()]
        assert max(quotas) - min(quotas) <= 1
        for often in seen.values():
            assert max(often.values()) - min(often.values()) <= 1


def test_balanced_mixes_the_classes_within_the_epoch() -> None:
    rows, labels = a_table([4, 396])
    order = epoch_order(rows, labels, "balanced", 0, 1)
    rare = np.isin(order, rows[labels == 0])
    for part in np.split(rare, 4):  # 50 of 100 are expected, with a standard deviation of about 4
        assert 25 < part.sum() < 75


def test_over_the_epochs_balanced_uses_every_image_of_the_large_class() -> None:
    rows, labels = a_table([1, 20])
    used = {row for epoch in range(1, 20) for row in epoch_order(rows, labels, "balanced", 0, epoch).tolist()}
    assert used == set(rows.tolist())


def test_which_class_has_one_image_more_changes_with_the_epoch() -> None:
    rows, labels = a_table([4, 7])
    larger = {
        int(np.isin(epoch_order(rows, labels, "balanced", 0, epoch), rows[labels == 0]).sum()) for epoch in range(9)
    }
    assert larger == {5, 6}


@pytest.mark.parametrize("sampling", ["shuffle", "balanced"])
def test_the_order_is_decided_by_seed_and_epoch_alone(sampling: str) -> None:
    rows, labels = a_table([10, 30])
    orders = {}
    for seed, epoch in ((0, 1), (0, 2), (1, 1), (1, 2), (2, 1)):
        orders[seed, epoch] = tuple(epoch_order(rows, labels, sampling, seed, epoch).tolist())
        np.random.seed(epoch)
        torch.manual_seed(seed + 9)
        again = epoch_order(rows.copy(), labels.copy(), sampling, seed, epoch)
        assert tuple(again.tolist()) == orders[seed, epoch]
    assert len(set(orders.values())) == len(orders)


@pytest.mark.parametrize("sampling", ["shuffle", "balanced"])
def test_drawing_an_order_changes_neither_rows_nor_labels(sampling: str) -> None:
    rows, labels = a_table([3, 9])
    before = rows.copy(), labels.copy()
    epoch_order(rows, labels, sampling, 0, 1)
    assert (rows == before[0]).all()
    assert (labels == before[1]).all()


def test_every_image_comes_first_about_equally_often() -> None:
    rows, labels = np.arange(4), np.array([0, 0, 1, 1])
    for sampling in ("shuffle", "balanced"):
        first = Counter(int(epoch_order(rows, labels, sampling, 0, epoch)[0]) for epoch in range(800))
        assert all(140 < first[row] < 260 for row in range(4))  # 200 with a standard deviation of 12
