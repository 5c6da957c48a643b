import tracemalloc

import numpy as np
import pytest

from infer.dataset.group_counts import GroupCounts


def dense(labels: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """Images of each group and class, counted one by one."""
    table = np.zeros((groups.max() + 1, classes))
    np.add.at(table, (groups, labels), 1)
    return table


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_the_counts_are_those_of_a_table_of_all_groups_and_classes(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.dataset.group_counts.BLOCK", block)
    monkeypatch.setattr("infer.dataset.group_counts.CELLS", 13 * block)
    random = np.random.default_rng(0)
    groups = random.permutation(np.concatenate([np.arange(60), random.integers(0, 60, 140)]))
    labels = random.integers(0, 11, 200)  # of 13 classes
    table, counts = dense(labels, groups, 13), GroupCounts(labels, groups, 13)
    np.testing.assert_array_equal(counts.per_class, table.sum(axis=0))
    np.testing.assert_array_equal(counts.images, table.sum(axis=1))
    np.testing.assert_array_equal(counts.unevenness(), table.std(axis=1))
    assert counts.groups_with(4).tolist() == np.flatnonzero(table[:, 4]).tolist()
    order = random.permutation(60)
    expected = [[(label, table[group, label]) for label in np.flatnonzero(table[group])] for group in order]
    assert list(counts.parts(order)) == expected


def test_memory_does_not_grow_with_groups_times_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.dataset.group_counts.CELLS", 100_000)
    tracemalloc.start()
    try:
        uneven = GroupCounts(np.arange(20_000) % 1000, np.arange(20_000), 1000).unevenness()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 20e6  # a table of both takes 160 MB
    assert uneven == pytest.approx(np.sqrt(0.001 - 1e-6))
