import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infer.core.errors import DataError
from infer.dataset.table import Table
from infer.dataset.validation import check_listed, check_trainable, label_problem
from infer.model.card import ClassName


def table(paths: str, labels: list[int], splits: list[str]) -> Table:
    """A table of images that are on no disk, each with a name of one letter, of two classes."""
    return Table(
        name="x",
        layout="made",
        root=Path("/x"),
        classes=(ClassName("normal", "0"), ClassName("blast", "1")),
        paths=tuple(paths),
        labels=np.array(labels, dtype=np.int64),
        groups=("",) * len(paths),
        splits=tuple(splits),
    )


def test_a_sound_table_passes() -> None:
    good = table("abc", [0, 1, -1], ["train", "train", "test"])
    check_listed(good, {})
    check_trainable(good)


def test_an_image_that_is_missing_is_named_with_its_table_unless_it_has_been_left_out() -> None:
    some = table("ab", [0, 1], ["train", "train"])
    with pytest.raises(DataError, match=r"t\.csv names 1 images that are not below /x: b;"):
        check_listed(some, {"b": Path("t.csv"), "z": Path("t.csv")})
    check_listed(some, {"z": Path("t.csv")})


@pytest.mark.parametrize(
    ("some", "message"),
    [
        (table("", [], []), "no images found in /x"),
        (table("ab", [0, -1], ["train", "valid"]), "1 images have no label: b"),
        (table("aa", [0, 1], ["train", "test"]), "1 images are listed with two labels: a"),
    ],
)
def test_what_contradicts_itself_is_refused(some: Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_listed(some, {})


def test_a_class_that_training_never_sees_is_refused() -> None:
    with pytest.raises(DataError, match="validation has images of the classes 1 blast, training has none"):
        check_trainable(table("ab", [0, 1], ["train", "valid"]))


def test_labels_that_look_alike_are_refused_only_where_both_occur() -> None:
    some = table("ab", [0, 1], ["train", "test"])
    alike = replace(some, classes=(ClassName("Blast", "Blast"), ClassName("blast", "blast")))
    message = r"labels in /x differ only in case, .*: 'Blast' and 'blast'; write each class in one way"
    with pytest.raises(DataError, match=message):
        check_listed(alike, {})
    assert label_problem(alike.take([0])) == label_problem(some) == ""


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (("NaN", "blast"), "labels in /x stand for a missing value: NaN; leave these cells blank, or give the class a"),
        (("1", "NA"), "stand for a missing value: NA"),
        (("Bl\udce4schen", "blast"), r"are not in UTF-8: Bl.+schen; save the table, or name the folders, in it"),
        (("None", "blast"), ""),
        (("NA", "K"), ""),
    ],
)
def test_labels_that_are_no_text_or_mean_that_there_is_none_are_refused(labels: tuple[str, str], problem: str) -> None:
    some = table("ab", [0, 1], ["train", "train"])
    found = label_problem(replace(some, classes=tuple(ClassName(label, label) for label in labels)))
    assert re.search(problem, found) if problem else not found
