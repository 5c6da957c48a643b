"""The rows of a labels table become names, labels, groups and splits, by documented rules."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.columns import ColumnNames
from infer.dataset.label_file import LabelFile
from infer.dataset.labelled import LabelledNames, read_labelled


def read(text: str, needs_label: bool = True, **chosen: str) -> LabelledNames:
    header, *rows = [line.split(",") for line in text.strip().split("\n")]
    return read_labelled(
        LabelFile(Path("a/labels.csv"), header, rows), ColumnNames(**chosen), lambda _: True, needs_label
    )


def test_labels_stay_text_and_an_empty_cell_is_no_label() -> None:
    found = read("path,label\na,007\nb,\nc,1e3")
    assert (found.names, found.labels) == (["a", "b", "c"], ["007", None, "1e3"])
    assert (found.groups, found.splits) == (["", "", ""], None)


def test_one_hot_rows_give_the_header_of_their_mark() -> None:
    assert read("image,mel,nv\na,0.0,1.0\nb,1,0").labels == ["nv", "mel"]


def test_a_chosen_finding_counts_blank_as_absent_and_minus_one_as_unknown_and_says_so() -> None:
    found = read("path,edema,mass\na,1.0,\nb,-1.0,1\nc,,0.0\nd,0.0,1", label="edema")
    assert found.labels == ["1", None, "0", "0"]
    assert "blank cells count as 0 (not mentioned), 1 rows of -1 (uncertain) have no label" in found.summary


def test_a_finding_named_in_the_cells_is_present_only_as_a_whole_word() -> None:
    found = read("path,labels\na,mass|edema\nb,mass in lung|none\nc,edema", label="mass")
    assert found.labels == ["1", "0", "0"]


def test_a_plain_label_column_of_0_1_and_blank_has_no_rule_unless_it_is_chosen() -> None:
    assert read("path,label\na,1\nb,\nc,0").labels == ["1", None, "0"]


def test_the_subject_is_taken_from_c_nmcs_own_names() -> None:
    found = read("Patient_ID,new_names,labels\nUID_7_1_1_all.bmp,1.bmp,1\nUID_H7_1_1_hem.bmp,2.bmp,0")
    assert (found.names, found.groups) == (["1.bmp", "2.bmp"], ["7", "H7"])


def test_splits_are_read_in_their_usual_spellings_and_others_refused() -> None:
    assert read("path,label,split\na,1,Training\nb,1,val\nc,1,TEST").splits == ["train", "valid", "test"]
    with pytest.raises(DataError, match=r"has the values fold 3, .*--split-column"):
        read("path,label,split\na,1,fold 3")


def test_a_table_without_labels_is_refused_only_where_they_are_needed() -> None:
    assert read("path,age\na,50", needs_label=False).labels == [None]
    with pytest.raises(DataError, match="--label-column"):
        read("path,age\na,50")


def test_the_summary_names_the_file_and_its_columns() -> None:
    assert read("image_id,dx,lesion_id\na,nv,L1").summary.startswith(
        "labels.csv: images image_id, labels dx, groups lesion_id"
    )


def test_a_finding_is_present_whatever_separates_it_from_others() -> None:
    found = read("path,labels\na,rust scab\nb,scab\nc,rust\nd,healthy", label="rust")
    assert found.labels == ["1", "0", "1", "0"]


def test_one_hot_marks_of_true_and_false_are_labels() -> None:
    assert read("image,mel,nv\na,False,True\nb,True,False").labels == ["nv", "mel"]


def test_a_cell_that_is_no_finding_in_another_table_of_the_set_is_refused() -> None:
    table = LabelFile(Path("test.csv"), ["path", "mass"], [["a", "1"], ["b", "maybe"]])
    with pytest.raises(DataError, match="mass has the cells maybe, and a finding is 1, 0, -1 or blank"):
        read_labelled(table, ColumnNames(label="mass"), lambda _: True, always_findings=["mass"])


def test_an_empty_split_is_named() -> None:
    with pytest.raises(DataError, match=r"split has the values \(empty\), and a split is"):
        read("path,label,split\na,1,train\nb,0,")
