"""Tables of images to predict: their labels are read where they can be, and never needed."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.label_file import LabelFile
from infer.dataset.locate import ImageIndex
from infer.tables.input_table import is_sample, read_rows

ROWS = [["a.png", "p1", "1", "0"], ["b.png", "p2", "1", "1"]]


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    return ImageIndex(tmp_path)


def test_unrecognised_labels_do_not_prevent_a_prediction(index: ImageIndex) -> None:
    table = LabelFile(Path("t.csv"), ["Path", "patient", "Edema", "Cardiomegaly"], ROWS)
    read, note = read_rows(table, "", "", index)
    assert (read.names, read.groups, read.labels) == (["a.png", "b.png"], ["p1", "p2"], [None, None])
    assert note.startswith("input: t.csv: images Path, groups patient; no report: t.csv has several findings an image")
    assert read_rows(table, "", "Cardiomegaly", index)[0].labels == ["0", "1"]
    with pytest.raises(DataError, match=r"--label-column grade: t\.csv has no column grade"):
        read_rows(table, "", "grade", index)


def test_two_label_columns_are_a_matter_of_choice_unless_no_labels_are_read(index: ImageIndex) -> None:
    table = LabelFile(Path("t.csv"), ["image_id", "label", "class"], [["a", "1", "2"], ["b", "1", "2"]])
    read, note = read_rows(table, "", "", index)
    assert read.labels == [None, None]
    assert "no report: t.csv: label, class could all be labels; choose one with --label-column" in note
    assert read_rows(table, "", None, index)[1] == "input: t.csv: images image_id"


def test_the_first_column_of_a_sample_has_the_ids_and_the_others_placeholders(index: ImageIndex) -> None:
    table = LabelFile(Path("sample_submission.csv"), ["case", "MEL", "NV"], [["a", "0.5", "0.5"], ["b", "0.5", "0.5"]])
    read, note = read_rows(table, "", "", index)
    assert (read.names, read.labels, note) == (["a", "b"], [None, None], "input: sample_submission.csv: images case")


def test_a_name_may_be_that_of_a_sample_submission() -> None:
    assert is_sample(Path("sampleSubmission.csv"))
    assert not is_sample(Path("submission.csv"))
