"""Columns of marks are classes where each row has one, and findings otherwise."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.findings_columns import is_finding_column, one_hot_columns, refuse_several_findings
from infer.dataset.label_file import LabelFile


def table(text: str) -> LabelFile:
    header, *rows = [line.split(",") for line in text.split("\n")]
    return LabelFile(Path("labels.csv"), header, rows)


def test_one_hot_columns_need_two_classes_and_no_other_column_beside_them() -> None:
    assert one_hot_columns(table("image,a,b\nx,1,0\ny,0,1"), [1, 2]) == (1, 2)
    assert one_hot_columns(table("image,a\nx,1\ny,0"), [1]) == ()
    assert one_hot_columns(table("image,a,b,age\nx,1,0,50\ny,0,1,60"), [1, 2, 3]) == ()


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
