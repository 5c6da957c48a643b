"""The true labels and the patients of the images to predict."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import DataError
from infer.model.card import ClassName
from infer.tables.inputs import Inputs, read_inputs
from infer.tables.labels import find_truth, read_truth

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"))


INPUTS = Inputs(Path("in"), ["x/a.jpg", "b.png"], ["in/x/a.jpg", "in/b.png"])


def test_true_labels_are_read_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("target,age,ID\n1,3,b\n007,4,a.jpg\n1,5,stranger\n")
    assert read_truth(tmp_path / "t.csv", INPUTS).labels == ["007", "1"]


def test_labels_of_a_single_column_are_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("007\n1\n")
    assert read_truth(tmp_path / "t.csv", INPUTS).labels == ["007", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv is empty; give a table with the images' names and labels"),
        ("a,b\nc,d\n", r"t\.csv has the columns a, b; none is known to name images: name it with --image-column"),
        ("Path,age\nb,1\n", r"t\.csv has the columns Path, age; none is known to hold labels: .*--label-column"),
        ("Path,label\nb,1\n", r"t\.csv has no label for 1 of the images: x/a\.jpg; add them"),
        ("Path,label\nb,1\na,1\nb,007\n", r"t\.csv gives b two different labels; keep the right one"),
        ("1\n", r"t\.csv has 1 labels for the 2 images"),
        ("Path,label\na,007\nb\n", r"t\.csv, line 3: 1 values for the 2 columns"),
    ],
)
def test_a_truth_file_that_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_truth(tmp_path / "t.csv", INPUTS)


def test_a_truth_file_whose_id_fits_two_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Path,label\na,1\n")
    inputs = Inputs(Path("in"), ["x/a.jpg", "y/a.jpg"], ["", ""])
    with pytest.raises(DataError, match=r"t\.csv: a fits several images: x/a\.jpg, y/a\.jpg; write the relative path"):
        read_truth(tmp_path / "t.csv", inputs)


def test_a_missing_truth_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        read_truth(tmp_path / "none.csv", INPUTS)


def test_the_truth_file_comes_before_the_labels_of_the_input(tmp_path: Path, heard: tuple[Screen, io.StringIO]) -> None:
    (tmp_path / "t.csv").write_text("Path,label\nb,1\na,007\n")
    inputs = replace(INPUTS, labels=["blast", "007"], labels_from="column label")
    config = PredictConfig(source=Path("in"))
    screen, text = heard
    for given, expected in ((config, [1, 0]), (replace(config, truth=tmp_path / "t.csv"), [0, 1])):
        truth, _ = find_truth(given, inputs, CLASSES, screen)
        assert truth is not None
        assert truth.tolist() == expected
    assert find_truth(config, INPUTS, CLASSES, screen) == (None, ())
    assert text.getvalue() == "truth: t.csv: images Path, labels label\n"
    assert find_truth(config, replace(inputs, labels=["blast", "x"]), CLASSES, screen)[0] is None
    assert text.getvalue().endswith("no report: column label has the labels x, which the model does not know\n")


@pytest.mark.parametrize("column", ["patient", "Group"])
def test_patients_are_read_from_the_input_or_from_the_truth(
    tmp_path: Path, save_image: Callable[..., Path], column: str
) -> None:
    for name in "abc":
        save_image(tmp_path / f"{name}.png")
    (tmp_path / "in.csv").write_text(f"Path,{column}\nb.png,p1\na.png,\nc.png,p2\n")
    (tmp_path / "t.csv").write_text(f"Path,label,{column}\na.png,0,q1\nb.png,1,q2\nc,0,q1\n")
    (tmp_path / "plain.csv").write_text("Path,label\na.png,0\nb.png,1\nc,0\n")
    inputs = read_inputs(tmp_path / "in.csv", CLASSES)
    assert inputs.groups == ["p1", "", "p2"]
    assert read_truth(tmp_path / "t.csv", inputs).groups == ["q2", "q1", "q1"]
    assert read_truth(tmp_path / "plain.csv", inputs).groups == inputs.groups
    assert read_inputs(tmp_path / "plain.csv", CLASSES).groups == []


def test_an_image_of_two_patients_is_refused(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    save_image(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("Path,label,patient\na,0,p\na.png,0,q\n")
    with pytest.raises(DataError, match=r"gives a\.png two different patients; keep the right one"):
        read_truth(tmp_path / "t.csv", read_inputs(tmp_path, CLASSES))


def named(*names: str) -> Inputs:
    return Inputs(Path("in"), list(names), [f"in/{name}" for name in names])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,normal,blast\na,0.0,1.0\nb,1.0,0.0\n", ["blast", "normal"]),
        ("id,image,label\n1,b.png,007\n2,a.png,1\n", ["1", "007"]),
        ("Patient_ID,new_names,labels\nUID_5_1_1_all.bmp,a.png,1\nUID_H2_1_1_hem.bmp,b.png,007\n", ["1", "007"]),
        ("image_id;dx\nC:\\scans\\a.png;1\nscans\\b.png;007\n", ["1", "007"]),
        (",Path,label\n0,a.png,1\n1,b.png,007\n", ["1", "007"]),
    ],
)
def test_any_labels_table_is_a_truth(tmp_path: Path, text: str, expected: list[str]) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert read_truth(tmp_path / "t.csv", named("a.png", "b.png")).labels == expected


def test_a_column_of_row_numbers_is_no_image_even_where_images_have_such_names(tmp_path: Path) -> None:
    rows = "".join(f"{number},{13 - number}.png,{number % 2}\n" for number in range(1, 13))
    (tmp_path / "t.csv").write_text(f"id,image,label\n{rows}")
    names = [f"{number}.png" for number in range(1, 13)]
    truth = read_truth(tmp_path / "t.csv", named(*names))
    assert truth.labels == [str((13 - number) % 2) for number in range(1, 13)]


def test_labels_alone_are_refused_where_lab_sorted_the_images_in_an_order_of_two(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1\n007\n1\n")
    counted = named("s9.png", "s10.png", "s11.png")
    with pytest.raises(DataError, match=r"line 1 may be s9\.png \(counted\) or s10\.png \(sorted by letter\)"):
        read_truth(tmp_path / "t.csv", counted, ordered=False)
    assert read_truth(tmp_path / "t.csv", counted, ordered=True).labels == ["1", "007", "1"]
    assert read_truth(tmp_path / "t.csv", named("s10.png", "s9.png", "s11.png"), ordered=False).labels[1] == "007"
    (tmp_path / "t.csv").write_text("label\n1\n007\n")
    truth = read_truth(tmp_path / "t.csv", named("a.png", "b.png"), ordered=False)
    assert truth.labels == ["1", "007"]
    assert truth.summary == "t.csv: one label per line, in the order a.png to b.png"


@pytest.mark.parametrize("name", ["sampleSubmission.csv", "Stage1_sample_submission.csv", "submission_format.csv"])
def test_a_sample_submission_is_no_truth(name: str, tmp_path: Path, heard: tuple[Screen, io.StringIO]) -> None:
    for image in ("a.png", "b.png"):
        (tmp_path / image).touch()
    (tmp_path / name).write_text("id,label\na,1\nb,007\n")
    assert read_inputs(tmp_path / name, CLASSES).labels is None
    with pytest.raises(
        DataError, match=r"--truth .* is a sample submission by its name, .* placeholders; leave it out"
    ):
        find_truth(PredictConfig(source=Path("in"), truth=tmp_path / name), INPUTS, CLASSES, heard[0])


def test_an_input_that_is_named_as_the_sample_too_is_no_truth(tmp_path: Path) -> None:
    inputs = replace(INPUTS, labels=["1", "007"], labels_from="column label")
    config = PredictConfig(source=tmp_path / "ids.csv", sample=tmp_path / "ids.csv")
    assert find_truth(config, inputs, CLASSES, Screen())[0] is None


def test_one_label_for_all_rows_of_an_input_is_mentioned(heard: tuple[Screen, io.StringIO]) -> None:
    inputs = replace(INPUTS, labels=["1", "1"], labels_from="column label")
    truth, _ = find_truth(PredictConfig(source=Path("in")), inputs, CLASSES, heard[0])
    assert truth is not None
    assert truth.tolist() == [1, 1]
    assert heard[1].getvalue().startswith("note: column label gives all 2 images the label 1; if it is a placeholder")
