from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infer.core.errors import DataError
from infer.dataset.table import TRAIN, VALID, Table
from infer.model.card import ClassName
from tests.helpers.networks import make_card
from trainer.run.same_data import difference, require_same_data


@pytest.fixture
def table(tmp_path: Path) -> Table:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"image")
    return Table(
        name="x",
        layout="made",
        root=tmp_path,
        classes=(ClassName("0", "healthy"), ClassName("1", "ill")),
        paths=("a", "b", "c"),
        labels=np.array([0, 1, 1]),
        groups=("", "p", ""),
        splits=(TRAIN, TRAIN, VALID),
    )


def test_each_change_is_named_and_gone_images_go_before_the_split_that_they_change(table: Table) -> None:
    other = replace(table.take([1, 2]), splits=(VALID, TRAIN))
    assert difference(table, other) == "1 images are gone or unreadable (a)"
    assert difference(other, table) == "1 images are new (a)"
    moved = replace(table, paths=("a", "b", "d"))
    assert difference(table, moved) == "1 images are gone or unreadable (c) and 1 images are new (d)"
    for changed in (
        replace(table, labels=np.array([0, 0, 1])),
        replace(table, groups=("", "q", "")),
        replace(table, splits=(TRAIN, VALID, VALID)),
    ):
        assert difference(table, changed) == "1 images have another label, group or split (b)"


def test_a_run_is_resumed_only_on_the_data_that_it_started_with(table: Table, tmp_path: Path) -> None:
    card = make_card(classes=table.classes, provenance={"data": {"fingerprint": table.fingerprint()}})
    run = tmp_path / "run"
    table.write(run / "data.csv")
    require_same_data(table, table.fingerprint(), card, run)
    fewer = table.take([0, 2])
    with pytest.raises(DataError, match=r"^1 images are gone or unreadable \(b\): .*run started; start"):
        require_same_data(fewer, fewer.fingerprint(), card, run)
    (table.root / "c").write_bytes(b"another")
    with pytest.raises(DataError, match=r"^image files have another size: "):
        require_same_data(table, table.fingerprint(), card, run)
