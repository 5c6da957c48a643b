from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infer.core.errors import DataError
from infer.dataset.stratify import stratified_splits, with_validation
from infer.dataset.table import TEST, TRAIN, VALID, Table
from infer.model.card import ClassName


def made(labels: list[int], groups: list[str] | None = None, splits: list[str] | None = None) -> Table:
    """A table of images that are on no disk."""
    return Table(
        name="made",
        layout="made here",
        root=Path("/nowhere"),
        classes=tuple(ClassName(str(index), str(index)) for index in range(max(labels) + 1)),
        paths=tuple(f"{row}.png" for row in range(len(labels))),
        labels=np.array(labels),
        groups=tuple(groups or [""] * len(labels)),
        splits=tuple(splits or [TRAIN] * len(labels)),
    )


def patients(count: int, each: int, classes: int = 2) -> Table:
    """Patients of one class each, with `each` images."""
    return made(
        [patient % classes for patient in range(count) for _ in range(each)],
        [f"p{patient}" for patient in range(count) for _ in range(each)],
    )


def test_a_table_with_validation_is_left_as_it_is() -> None:
    table = made([0, 1, 0, 1], splits=[TRAIN, TRAIN, VALID, TEST])
    assert with_validation(table, 0) is table


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_every_class_is_set_apart(seed: int) -> None:
    table = with_validation(made([0] * 50 + [1] * 20 + [2] * 10), seed)
    assert table.counts(VALID) == [10, 4, 2]
    assert table.counts(TRAIN) == [40, 16, 8]


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_is_in_one_split_and_classes_keep_about_their_shares(seed: int) -> None:
    table = with_validation(patients(40, 5), seed)
    assert table.crossing_groups() == []
    valid = table.counts(VALID)
    assert sum(valid) == pytest.approx(40, abs=10)
    assert valid[0] == pytest.approx(valid[1], abs=10)


def test_images_without_a_patient_may_part_where_others_have_one() -> None:
    table = made([0, 1] * 30, ["p1"] * 10 + ["p2"] * 10 + [""] * 40)
    table = with_validation(table, 0)
    assert table.crossing_groups() == []
    alone = Counter(split for group, split in zip(table.groups, table.splits, strict=True) if not group)
    assert alone[TRAIN] > 0
    assert alone[VALID] > 0


def test_only_the_split_and_the_layouts_words_change() -> None:
    before = made([0, 1] * 20, splits=[TRAIN] * 30 + [TEST] * 10)
    after = with_validation(before, 3)
    assert after.paths == before.paths
    assert after.groups == before.groups
    np.testing.assert_array_equal(after.labels, before.labels)
    assert after.splits[30:] == before.splits[30:]
    assert after.layout == "made here; validation: a fifth of training, stratified, seed 3"
    assert "stratified by group, seed 4" in with_validation(patients(10, 3), 4).layout


def test_a_seed_gives_one_split_and_another_seed_another() -> None:
    for table in (made([0, 1] * 20), patients(40, 2)):
        assert with_validation(table, 1).splits == with_validation(table, 1).splits
        assert len({with_validation(table, seed).splits for seed in range(5)}) > 1


@pytest.mark.parametrize("seed", range(10))
def test_a_class_never_loses_its_last_training_image(seed: int) -> None:
    rare = made([0] * 20 + [1] * 2 + [2])
    table = with_validation(rare, seed)
    assert min(table.counts(TRAIN)) >= 1
    assert sum(table.counts(VALID)) >= 4


@pytest.mark.parametrize("seed", range(10))
def test_a_class_with_one_patient_stays_in_training_with_all_of_that_patients_images(seed: int) -> None:
    labels = [0] * 40 + [1] * 4 + [0] * 4
    groups = [f"p{row // 4}" for row in range(40)] + ["only"] * 8
    table = with_validation(made(labels, groups), seed)
    assert {split for group, split in zip(table.groups, table.splits, strict=True) if group == "only"} == {TRAIN}
    assert table.counts(TRAIN)[1] == 4
    assert table.crossing_groups() == []


@pytest.mark.parametrize("seed", range(5))
def test_where_no_patient_can_be_spared_nothing_is_called_a_split(seed: int) -> None:
    one_patient_a_class = patients(5, each=6, classes=5)
    with pytest.raises(DataError, match="give a validation split of your own"):
        with_validation(one_patient_a_class, seed)


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (made([0, 1, 0, 1]), "4 training images in 4 groups"),
        (made([0, 1, 0, 1, 0, 1]), "6 training images in 6 groups"),
        (patients(4, 10), "40 training images in 4 groups"),
    ],
)
def test_too_few_images_or_patients_are_refused(table: Table, found: str) -> None:
    with pytest.raises(DataError, match=rf"{found} are too few .*; give a validation split of your own"):
        with_validation(table, 0)


SHARES = {TRAIN: 0.7, VALID: 0.2, TEST: 0.1}


def counted(table: Table, splits: list[str]) -> list[list[int]]:
    return [replace(table, splits=tuple(splits)).counts(name) for name in SHARES]


@pytest.mark.parametrize("seed", range(5))
def test_single_images_are_parted_to_within_one_image_of_every_class(seed: int) -> None:
    labels = [0] * 103 + [1] * 40 + [2] * 7
    table = made(labels)
    for share, found in zip(SHARES.values(), counted(table, stratified_splits(table, SHARES, seed)), strict=True):
        assert found == pytest.approx([103 * share, 40 * share, 7 * share], abs=1)


@pytest.mark.parametrize("seed", range(5))
def test_patients_of_uneven_size_stay_whole_and_classes_come_near_their_shares(seed: int) -> None:
    sizes = [1 + (7 * patient) % 12 for patient in range(60)]
    table = made(
        [patient % 2 for patient, size in enumerate(sizes) for _ in range(size)],
        [f"p{patient}" for patient, size in enumerate(sizes) for _ in range(size)],
    )
    splits = stratified_splits(table, SHARES, seed)
    assert replace(table, splits=tuple(splits)).crossing_groups() == []
    totals = np.bincount(table.labels)
    for share, found in zip(SHARES.values(), counted(table, splits), strict=True):
        assert found == pytest.approx(list(totals * share), abs=6)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_patient_of_even_classes_takes_no_split_beyond_its_share(seed: int) -> None:
    sizes = [40, *[2] * 30]  # 40, and 60 of small patients who can make up for it
    table = made(
        [k % 2 for size in sizes for k in range(size)],
        [f"p{patient}" for patient, size in enumerate(sizes) for _ in range(size)],
    )
    assert counted(table, stratified_splits(table, SHARES, seed)) == [[35, 35], [10, 10], [5, 5]]


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_in_training(seed: int) -> None:
    table = made([0] * 40 + [1] + [2] * 5 + [0] * 5, [f"p{k // 4}" for k in range(40)] + ["a"] + ["b"] * 10)
    train = counted(table, stratified_splits(table, SHARES, seed))[0]
    assert min(train) > 0
    assert train[2] == 5


def test_the_split_of_a_data_set_without_copies_stays_what_earlier_versions_drew() -> None:
    def held_out(table: Table) -> list[int]:
        return with_validation(table, 7).rows(VALID).tolist()

    assert held_out(made([0, 1, 1] * 10)) == [1, 4, 6, 12, 13, 20]
    assert held_out(patients(15, 2, classes=3)) == [2, 3, 4, 5, 6, 7]
    splits = stratified_splits(patients(12, 2), SHARES, 7)
    assert splits == [TRAIN] * 14 + [VALID] * 2 + [TEST] * 4 + [VALID] * 2 + [TRAIN] * 2


def test_copies_are_on_one_side_with_their_patients_and_are_reported(tmp_path: Path) -> None:
    for row in range(40):
        (tmp_path / f"{row}.png").write_bytes(b"image %d" % (row // 2 if row < 20 else row))
    table = replace(made([0, 0, 1, 1] * 10, ["p"] + [""] * 20 + ["p"] + [""] * 18), root=tmp_path)
    for seed in range(5):
        after = with_validation(table, seed)
        assert all(after.splits[row] == after.splits[row + 1] for row in range(0, 20, 2))
        assert after.splits[21] == after.splits[0] == after.splits[1]
        assert "a fifth of training, stratified by group, copies together" in after.layout
        assert after.notes == (
            "note: 10 images are listed twice or have exact copies, which stay in one split: 0.png and 1.png, "
            "2.png and 3.png, 4.png and 5.png and 7 more",
        )
        assert after.groups == table.groups
