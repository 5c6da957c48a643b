from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.rows import Reading, make_table, read_class_names, without_uncertain
from infer.dataset.table import TEST, TRAIN
from infer.model.card import ClassName


def test_a_table_has_its_classes_in_order_and_what_was_found_in_reading(tmp_path: Path) -> None:
    reading = Reading(notes=["note: one", ""])
    reading.skipped.add("hidden files", ".x", 2)
    rows = [("a.png", "10", "p", TRAIN), ("b.png", "9", "", TRAIN), ("c.png", None, "", TEST)]
    table = make_table(tmp_path, "made", rows, reading)
    assert table.classes == (ClassName("9", "9"), ClassName("10", "10"))
    assert table.labels.tolist() == [1, 0, -1]
    assert table.notes == ("note: one", "skipped: 2 hidden files (.x)")


@pytest.mark.parametrize(
    "text",
    [
        "label,name\n0,normal\n1,blast\n",
        "Name,comment,LABEL\nnormal,x,0\nblast,,1\n",
        "0,normal\n1,blast\n",
        ",label,name\n0,0,normal\n1,1,blast\n",
    ],
)
def test_names_are_read_by_the_header_or_from_two_columns_without_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(text)
    assert read_class_names(tmp_path / "classes.csv", ["0", "1", "2"]) == {"0": "normal", "1": "blast"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "label,title,note\n0,a,b\n",
            r"classes\.csv has the columns label, title, note; it needs label and name",
        ),
        ("code,title,note\n0,a,b\n", r"classes\.csv has the columns code, title, note; it needs label and name"),
        ("label,name\nx,a\ny,b\n", r"classes\.csv names x, y, the data set has 0, 1; correct it"),
        ("label,name\n0,cell\n1,cell\n", r"classes\.csv gives the labels 0, 1 the same name; give each its own"),
        ("label,name\n0,1\n", r"classes\.csv gives the labels 0, 1 the same name"),
        ("label,name\n0,a, b\n", r"classes\.csv, line 2: 3 values for the 2 columns of the header"),
    ],
)
def test_names_that_do_not_fit_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_class_names(tmp_path / "classes.csv", ["0", "1"])


def test_images_of_an_uncertain_finding_are_left_out_and_counted_except_test_images() -> None:
    reading = Reading()
    rows = [("a.png", "1", "", TRAIN), ("b.png", None, "", TRAIN), ("c.png", None, "", TEST)]
    assert without_uncertain(rows, reading) == [rows[0], rows[2]]
    assert reading.notes == ["left out: 1 images of which the finding is uncertain (-1)"]
    assert without_uncertain(rows[:1], reading) == rows[:1]
    assert len(reading.notes) == 1
