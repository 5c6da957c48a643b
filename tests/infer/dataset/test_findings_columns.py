"""Columns of marks are classes where each row has one, and findings otherwise."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.findings_columns import (
    CellFinding,
    findings_of,
    findings_separator,
    is_finding_column,
    one_hot_among_others,
    one_hot_columns,
    refuse_several_findings,
)
from infer.dataset.label_file import LabelFile


def table(text: str) -> LabelFile:
    header, *rows = [line.split(",") for line in text.split("\n")]
    return LabelFile(Path("labels.csv"), header, rows)


def test_one_hot_columns_need_two_classes_and_no_other_column_beside_them() -> None:
    assert one_hot_columns(table("image,a,b\nx,1,0\ny,0,1"), [1, 2]) == (1, 2)
    assert one_hot_columns(table("image,a\nx,1\ny,0"), [1]) == ()
    assert one_hot_columns(table("image,a,b,age\nx,1,0,50\ny,0,1,60"), [1, 2, 3]) == ()


def test_marks_may_be_true_and_false_as_pandas_writes_them() -> None:
    assert one_hot_columns(table("image,a,b\nx,True,False\ny,False,True"), [1, 2]) == (1, 2)
    assert is_finding_column(table("image,mass\nx,True\ny,\nz,False"), 1)


def test_one_hot_columns_among_others_are_named_with_them() -> None:
    some = table("image,a,b,age,sex\nx,1,0,50,m\ny,0,1,60,f")
    assert one_hot_among_others(some, [1, 2, 3, 4]) == "; a, b look one-hot, without age, sex they would be read so"
    assert one_hot_among_others(table("image,a,age\nx,1,50\ny,0,60"), [1, 2]) == ""


def test_findings_are_named_with_the_first_row_that_marks_none_or_several() -> None:
    with pytest.raises(DataError, match=r"several findings an image \(a, b\): the row y, 1, 1 marks 2, and lab trains"):
        one_hot_columns(table("image,a,b\nx,1,0\ny,1,1\nz,0,1"), [1, 2])


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["mass|edema"], "|"),
        (["mass;edema", "mass"], ";"),
        (["mass+edema", "mass", "edema"], "+"),
        (["rust scab", "scab", "rust"], " "),
        (["['mass', 'edema']", "['edema']", "['mass']"], ","),
        (["16 0", "0", "16", "25"], " "),
        (["mild NPDR", "severe NPDR", "NPDR"], ""),
        (["benign, stroma", "benign", "other"], ""),
        (["A+", "A", "B"], ""),
    ],
)
def test_a_cell_of_other_cells_labels_holds_several_findings(labels: list[str], separator: str) -> None:
    assert findings_separator(labels) == separator


def test_the_findings_in_a_cell_are_without_brackets_and_quotes() -> None:
    assert findings_of("['mass', \"edema\"]", ",") == ["mass", "edema"]
    assert findings_of("mass;; edema ", ";") == ["mass", "edema"]


def test_a_class_without_an_image_stays_a_class() -> None:
    assert one_hot_columns(table("image,a,b,c\nx,1,0,0\ny,0,1,0"), [1, 2, 3]) == (1, 2, 3)


@pytest.mark.parametrize(("cells", "expected"), [("1,,-1", True), ("1,", True), ("1,0", False), ("1,2,", False)])
def test_a_finding_is_marked_by_1_beside_blank_or_uncertain_cells(cells: str, expected: bool) -> None:
    rows = "\n".join(f"x,{cell}" for cell in cells.split(","))
    assert is_finding_column(table(f"image,mass\n{rows}"), 1) is expected


def test_several_findings_in_a_cell_are_refused_with_one_of_them() -> None:
    refuse_several_findings(table("image,labels\nx,mass"), 1)
    with pytest.raises(DataError, match="--label-column 'mass'"):
        refuse_several_findings(table("image,labels\nx,mass|edema"), 1)


def test_a_finding_is_a_label_by_the_cell_that_holds_it_as_a_whole() -> None:
    labels = map(CellFinding("labels", "mass", ";").label_of, ("edema; mass", "mass in lung", ""))
    assert list(labels) == ["1", "0", None]
