import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infer.core.errors import DataError
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table, read_run_table
from infer.model.card import ClassName

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    root = tmp_path / "cells"
    root.mkdir()
    names = ("a.png", "b.png", "c.png", "d.png", "e.png")
    for size, name in enumerate(names):
        (root / name).write_bytes(b"x" * size)
    return Table(
        name="cells",
        layout="made here",
        root=root,
        classes=CLASSES,
        paths=names,
        labels=np.array([0, 1, 1, 1, UNKNOWN]),
        groups=("p1", "p2", "p2", "", ""),
        splits=(TRAIN, TRAIN, VALID, TRAIN, TEST),
    )


def columns(table: Table) -> list[tuple[str, int, str, str]]:
    return list(zip(table.paths, table.labels.tolist(), table.groups, table.splits, strict=True))


def test_columns_of_different_lengths_are_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="differ in length"):
        replace(table, groups=("p1",))


def test_rows_are_taken_whole_and_in_the_order_asked_for(table: Table) -> None:
    assert columns(table.take([3, 0])) == [columns(table)[3], columns(table)[0]]
    assert columns(table.take(np.array([], dtype=np.int64))) == []
    assert table.take([]).labels.dtype == np.int64


def test_a_split_has_its_rows_and_an_unknown_split_none(table: Table) -> None:
    assert [len(table.split(name)) for name in (TRAIN, VALID, TEST, "other")] == [3, 1, 1, 0]
    assert table.split(TRAIN).paths == ("a.png", "b.png", "d.png")


def test_images_without_a_label_are_not_counted(table: Table) -> None:
    assert [table.counts(split) for split in (TRAIN, VALID, TEST)] == [[1, 2], [0, 1], [0, 0]]


def test_files_are_below_the_root_unless_a_path_is_absolute(table: Table) -> None:
    moved = replace(table, paths=("sub/a.png", "/else/b.png", *table.paths[2:]))
    assert moved.files()[:3] == [str(table.root / "sub" / "a.png"), "/else/b.png", str(table.root / "c.png")]


def test_groups_and_images_in_two_splits_are_listed_in_natural_order(table: Table) -> None:
    assert table.crossing_groups() == ["p2"]
    assert table.crossing_paths() == []
    both = replace(
        table,
        paths=("i10.png", "i9.png", "i10.png", "i9.png", "i10.png"),
        groups=("", "", "", "g", "g"),
        splits=(TRAIN, TRAIN, VALID, VALID, TEST),
    )
    assert both.crossing_paths() == ["i9.png", "i10.png"]
    assert both.crossing_groups() == ["g"]


def test_the_fingerprint_does_not_depend_on_the_rows_order_or_the_roots_place(table: Table, tmp_path: Path) -> None:
    before = table.fingerprint()
    assert table.take([4, 2, 0, 1, 3]).fingerprint() == before
    table.root.rename(tmp_path / "moved")
    assert replace(table, root=tmp_path / "moved", name="moved").fingerprint() == before


def test_the_fingerprint_changes_with_every_column_and_with_a_files_size(table: Table) -> None:
    prints = {
        table.fingerprint(),
        replace(table, labels=np.array([0, 0, 1, 1, UNKNOWN])).fingerprint(),
        replace(table, labels=np.array([0, 1, 1, 1, 0])).fingerprint(),
        replace(table, groups=("p1", "p2", "p2", "", "p3")).fingerprint(),
        replace(table, splits=(TRAIN, TRAIN, VALID, TRAIN, VALID)).fingerprint(),
        replace(table, classes=(ClassName("normal", "7"), CLASSES[1])).fingerprint(),
        table.take([0, 1, 2, 3]).fingerprint(),
        table.take([0, 1, 2, 3, 4, 4]).fingerprint(),
    }
    (table.root / "a.png").write_bytes(b"longer")
    prints.add(table.fingerprint())
    (table.root / "a.png").unlink()
    prints.add(table.fingerprint())
    assert len(prints) == 10


def test_the_fingerprint_of_more_rows_than_a_block_is_the_sha256_of_all(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = table.fingerprint()
    monkeypatch.setattr("infer.dataset.table.BLOCK", 2)
    assert table.fingerprint() == before


def test_the_fingerprint_of_one_image_is_the_sha256_of_its_row(table: Table) -> None:
    row = "b.png\x001\x00p2\x00train\x001\n"
    assert table.take([1]).fingerprint() == hashlib.sha256(row.encode()).hexdigest()


def test_the_written_table_is_a_csv_with_labels_as_text(table: Table, tmp_path: Path) -> None:
    table.write(tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert list(frame) == ["path", "label", "group", "split"]
    assert frame["label"].tolist() == ["007", "1", "1", "1", ""]


@pytest.mark.parametrize(
    "name", ["[/x].jpg", 'a,"b".jpg', "zeile\n2.jpg", " leading.jpg", "=1+1.jpg", os.fsdecode(b"caf\xe9.jpg"), "ü.jpg"]
)
def test_a_written_table_is_read_as_it_was(name: str, table: Table, tmp_path: Path) -> None:
    table = replace(table, paths=(name, *table.paths[1:]))
    table.write(tmp_path / "t.csv")
    again = read_run_table(tmp_path / "t.csv", table.root, CLASSES)
    assert columns(again) == columns(table)
    assert (again.root, again.classes, again.name) == (table.root, CLASSES, "cells")


@pytest.mark.parametrize(
    "content",
    ["", "path,label\na,1\n", "path,label,group,split\na.png,1,p1\n", "path,label,group,split\na,1,p,train,x\n"],
)
def test_a_damaged_run_table_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=r"t\.csv is not a run's data table; train again, or name the data set"):
        read_run_table(tmp_path / "t.csv", tmp_path, CLASSES)


def test_a_run_table_with_a_class_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,group,split\na.png,1,,train\nb.png,7,,train\n")
    with pytest.raises(DataError, match=r"t\.csv has the labels 7, but the model has 007, 1; use"):
        read_run_table(tmp_path / "t.csv", tmp_path, CLASSES)


def test_a_missing_run_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*t\.csv"):
        read_run_table(tmp_path / "t.csv", tmp_path, CLASSES)
