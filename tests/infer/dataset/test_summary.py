import io
from pathlib import Path

import numpy as np

from infer.core.console import Screen
from infer.dataset.summary import show_table
from infer.dataset.table import Table
from infer.model.card import ClassName


def table(groups: tuple[str, ...], paths: tuple[str, ...] = ("a", "b", "c", "d")) -> Table:
    return Table(
        name="x",
        layout="made by hand",
        root=Path("x"),
        classes=(ClassName("[normal]", "0"), ClassName("blast", "1")),
        paths=paths,
        labels=np.array([0, 1, 1, -1]),
        groups=groups,
        splits=("train", "train", "valid", "test"),
    )


def test_layout_and_images_per_class_and_split_are_printed(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    show_table(table(("", "", "", "")), screen)
    rows = [line.replace("│", " ").split() for line in text.getvalue().splitlines()]
    assert "made by hand" in text.getvalue()
    assert ["0", "[normal]", "1", "0", "0"] in rows
    assert ["1", "blast", "1", "1", "0"] in rows
    assert ["not", "labelled", "0", "0", "1"] in rows


def test_groups_that_cross_splits_are_named(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    show_table(table(("p1", "p2", "p2", "")), screen)
    assert "warning: leakage between splits: 1 groups are in more than one split" in text.getvalue()
    assert "p2" in text.getvalue()


def test_images_that_cross_splits_are_named(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    show_table(table(("", "", "", ""), paths=("a", "b", "b", "d")), screen)
    assert "warning: leakage between splits: 1 images are in more than one split" in text.getvalue()
