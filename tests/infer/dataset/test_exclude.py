import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infer.config import LabelOptions
from infer.core.console import Screen
from infer.core.errors import DataError
from infer.core.files import write_text
from infer.dataset.exclude import Exclusion, exclusions_text, read_exclusions, read_without_excluded, remove
from infer.dataset.table import Table
from infer.model.card import ClassName


def table(*rows: tuple[str, str]) -> Table:
    """A table of these paths and splits."""
    return Table(
        name="x",
        layout="made",
        root=Path("/x"),
        classes=(ClassName("0", "0"),),
        paths=tuple(path for path, _ in rows),
        labels=np.zeros(len(rows), dtype=np.int64),
        groups=("",) * len(rows),
        splits=tuple(split for _, split in rows),
    )


SOME = table(("a/1.png", "train"), ("a/2.png", "train"), ("b/2.png", "valid"), ("a/1.png", "valid"))


@pytest.mark.parametrize("path", ["plain.png", "a, b.png", 'quo"te.png', " space .png", "line\nbreak.png", "#x.png"])
def test_a_list_is_read_as_it_was_written(path: str, tmp_path: Path) -> None:
    written = [Exclusion(path, "train", "copy of b, c"), Exclusion("other.png")]
    write_text(tmp_path / "e.csv", exclusions_text(written))
    assert read_exclusions(tmp_path / "e.csv") == written


def test_a_list_may_have_one_path_per_line(tmp_path: Path) -> None:
    (tmp_path / "e.txt").write_text("a/1.png\n\nb/2.png\n")
    assert read_exclusions(tmp_path / "e.txt") == [Exclusion("a/1.png"), Exclusion("b/2.png")]


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        read_exclusions(tmp_path / "none.csv")


def test_a_path_is_removed_wherever_it_is_listed_or_only_in_the_split_that_is_named() -> None:
    kept, unknown = remove(SOME, [Exclusion("./a/1.png")])
    assert (kept.paths, unknown) == (("a/2.png", "b/2.png"), [])
    kept, unknown = remove(SOME, [Exclusion("a/1.png", "train")])
    assert (kept.paths, unknown) == (("a/2.png", "b/2.png", "a/1.png"), [])


def test_a_file_name_is_enough_where_one_image_has_it() -> None:
    assert remove(SOME, [Exclusion("1")])[0].paths == ("a/2.png", "b/2.png")
    with pytest.raises(DataError, match=r"2\.png may be a/2\.png, b/2\.png; write the path"):
        remove(SOME, [Exclusion("2.png")])


@pytest.mark.parametrize("path", ["b/1.png", "a/1.jpg", "a/1", "./1.png", "/y/a/1.png", "1.jpg"])
def test_a_folder_or_a_suffix_that_no_image_has_means_no_other_image(path: str) -> None:
    kept, unknown = remove(SOME, [Exclusion(path)])
    assert (kept.paths, unknown) == (SOME.paths, [path])


def test_a_path_of_the_table_means_that_image_though_others_have_its_name() -> None:
    several = table(("2.png", "train"), ("a/2.png", "train"), ("a/2.jpg", "train"))
    assert remove(several, [Exclusion("2.png")])[0].paths == ("a/2.png", "a/2.jpg")
    assert remove(several, [Exclusion("2.jpg")])[0].paths == ("2.png", "a/2.png")
    with pytest.raises(DataError, match=r"2 may be 2\.png, a/2\.jpg, a/2\.png"):
        remove(several, [Exclusion("2")])


def test_a_patient_that_only_an_excluded_row_gives_stays_with_the_image() -> None:
    some = replace(SOME, groups=("p1", "p2", "p3", ""))
    assert remove(some, [Exclusion("a/1.png", "train")])[0].groups == ("p2", "p3", "p1")


def test_names_that_are_not_in_the_table_are_returned() -> None:
    kept, unknown = remove(SOME, [Exclusion("c.png"), Exclusion("b/2.png", "train")])
    assert len(kept) == 4
    assert unknown == ["c.png", "b/2.png"]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A data set that cannot be read as it is: one image is missing, one has two labels."""
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (tmp_path / name).touch()
    (tmp_path / "train.csv").write_text("Path,label\na.png,0\nb.png,1\nc.png,0\nc.png,1\ngone.png,1\n")
    return tmp_path


def test_what_is_left_out_is_not_checked(broken: Path, heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    (broken / "e.csv").write_text("c.png\ngone.png\nnever.png\n")
    assert read_without_excluded(broken, LabelOptions(), None, broken / "e.csv", screen).paths == ("a.png", "b.png")
    assert "left out: 3 images" in text.getvalue()
    assert "names 1 images that are not in" in text.getvalue()
    assert "never.png" in text.getvalue()


def test_without_a_list_the_data_set_is_checked(broken: Path, quiet: Screen) -> None:
    with pytest.raises(DataError, match=r"names 1 images that are not below .*: gone\.png"):
        read_without_excluded(broken, LabelOptions(), None, None, quiet)


def test_a_list_of_everything_is_refused(broken: Path, quiet: Screen) -> None:
    (broken / "e.csv").write_text("a\nb\nc\ngone.png\n")
    with pytest.raises(DataError, match=r"leaves out all 5 images of .*; shorten it"):
        read_without_excluded(broken, LabelOptions(), None, broken / "e.csv", quiet)
