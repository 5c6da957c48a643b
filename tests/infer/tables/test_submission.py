"""The form of the CSV, without a sample submission and after one."""

from pathlib import Path

import numpy as np
import pytest

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.errors import ConfigError, DataError
from infer.model.card import ClassName
from infer.tables.inputs import Inputs
from infer.tables.submission import check_outputs, choose_form, find_sample, plain_form, probabilities_form, sample_form

CLASSES = (ClassName("normal", "007"), ClassName("blast", "1"), ClassName("other", "2"))
INPUTS = Inputs(Path("in"), ["a.jpg", "x/b.png", "c.png"], ["", "", ""])
PROBABILITIES = np.float32([0.25, 1 / 3, 5 / 12])


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return tmp_path / "sample_submission.csv"


def test_without_a_sample_names_and_order_are_those_of_the_inputs() -> None:
    form = plain_form(INPUTS)
    assert (form.header, form.ids, list(form.order)) == (["ID", "label"], INPUTS.names, [0, 1, 2])
    assert form.row(1, PROBABILITIES, CLASSES) == ["x/b.png", "2"]
    assert form.row(0, PROBABILITIES[::-1], CLASSES) == ["a.jpg", "007"]


def test_a_sample_gives_header_ids_and_order(sample: Path) -> None:
    sample.write_text("image,level\nc,0\na.jpg,0\nb,0\n")
    form = sample_form(sample, INPUTS, CLASSES)
    assert (form.header, form.ids, form.order) == (["image", "level"], ["c", "a.jpg", "b"], [2, 0, 1])
    assert form.row(2, PROBABILITIES, CLASSES) == ["b", "2"]


def test_a_samples_class_columns_are_filled_by_label_or_name_in_its_order(sample: Path) -> None:
    sample.write_text("id,2,normal,1\na,0,0,0\nb,0,0,0\nc,0,0,0\n")
    form = sample_form(sample, INPUTS, CLASSES)
    identifier, *values = form.row(0, PROBABILITIES, CLASSES)
    assert identifier == "a"
    np.testing.assert_array_equal(np.float32(values), PROBABILITIES[[2, 0, 1]])


def test_probabilities_are_written_for_every_class_with_all_their_digits(sample: Path) -> None:
    sample.write_text("image,level\nc,0\nb,0\na,0\n")
    form = probabilities_form(sample_form(sample, INPUTS, CLASSES), CLASSES)
    assert form.header == ["image", "007", "1", "2"]
    assert (form.ids, form.order) == (["c", "b", "a"], [2, 1, 0])
    assert np.float32(form.row(0, PROBABILITIES, CLASSES)[1:]).tolist() == PROBABILITIES.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,label\na,0\nb,0\nc,0\nd,0\ne,0\n",
            r"sample_submission\.csv has 2 ids without an image: d, e; add the ima",
        ),
        (
            "id,label\na,0\n",
            r"2 images have no id in .*: x/b\.png, c\.png; give the sample as INPUT to predict its images alone",
        ),
        ("id,label\na,0\nb,0\nc,0\na.jpg,0\n", r"names an image more than once: a\.jpg; remove repeated ids, or"),
        ("", "has the columns .*; it needs an id and a label"),
        ("id\na\n", r"has the columns id; it needs an id and a label, or .* of the classes 007, 1, 2"),
        ("id,007,1\na,0,0\n", "has the columns id, 007, 1; it needs an id and a label"),
        ("id,007,1,zzz\na,0,0,0\n", "has the columns id, 007, 1, zzz; it needs"),
        ("id,007,1,1\na,0,0,0\n", "has the columns id, 007, 1, 1; it needs"),
        ("id,007,1,2,zzz\na,0,0,0,0\n", "has the columns id, 007, 1, 2, zzz; it needs"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused(text: str, message: str, sample: Path) -> None:
    sample.write_text(text)
    with pytest.raises(DataError, match=message):
        sample_form(sample, INPUTS, CLASSES)


def test_every_error_about_ids_offers_no_sample(sample: Path) -> None:
    for text in ("id,label\nz,0\n", "id,label\na,0\n", "id,label\na,0\nb,0\nc,0\na.jpg,0\n"):
        sample.write_text(text)
        with pytest.raises(DataError, match="or write all images with --no-sample"):
            sample_form(sample, INPUTS, CLASSES)


def test_an_id_that_fits_two_images_is_refused(sample: Path) -> None:
    sample.write_text("id,label\na,0\n")
    inputs = Inputs(Path("in"), ["x/a.jpg", "y/a.jpg"], ["", ""])
    with pytest.raises(
        DataError, match=r"the id a fits several images: x/a\.jpg, y/a\.jpg; write a relative path, or .*--no-sample"
    ):
        sample_form(sample, inputs, CLASSES)


def test_a_sample_is_found_in_the_input_folder_first_and_then_beside_the_input(tmp_path: Path) -> None:
    folder, table = tmp_path / "test", tmp_path / "test.csv"
    folder.mkdir()
    table.touch()
    assert find_sample(folder) is find_sample(table) is None
    beside = tmp_path / "sample_submission.csv"
    beside.touch()
    assert find_sample(folder) == find_sample(table) == beside
    within = folder / "sample_submission.csv"
    within.touch()
    assert find_sample(folder) == within
    assert find_sample(table) == beside


def test_a_sample_beside_a_relative_input_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "sample_submission.csv").touch()
    monkeypatch.chdir(tmp_path / "test")
    found = find_sample(Path())
    assert found is not None
    assert found.samefile(tmp_path / "sample_submission.csv")


def test_a_sample_beside_a_linked_input_is_found(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "images").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test").symlink_to(tmp_path / "elsewhere" / "images")
    (tmp_path / "data" / "sample_submission.csv").touch()
    assert find_sample(tmp_path / "data" / "test") is not None


SHARES = np.float32([0.2, 0.5, 0.3])
LETTERS = (ClassName("a", "A"), ClassName("b", "B"), ClassName("c", "C"))


def test_the_most_probable_labels_come_first_and_equal_ones_in_the_classes_order() -> None:
    form = probabilities_form(plain_form(Inputs(Path(), ["x.png"], ["x.png"])), LETTERS, top=2)
    assert form.header == ["ID", "label_1", "probability_1", "label_2", "probability_2"]
    assert form.row(0, SHARES, LETTERS) == ["x.png", "B", SHARES[1], "C", SHARES[2]]
    assert form.row(0, np.float32([0.3, 0.4, 0.3]), LETTERS)[3] == "A"


@pytest.mark.parametrize(("limit", "mark"), [(0.0, 0), (0.5, 0), (0.51, 1), (1.0, 1)])
def test_a_best_probability_below_the_limit_is_marked(limit: float, mark: int) -> None:
    form = plain_form(Inputs(Path(), ["x.png"], ["x.png"])).with_reject(limit)
    assert form.header == ["ID", "label", "reject"]
    assert form.row(0, SHARES, LETTERS) == ["x.png", "B", mark]
    assert form.row(0, SHARES, LETTERS, guessed=True)[-1] == 1
    assert form.with_reject(None) is form


BINARY = (ClassName("benign", "0"), ClassName("malignant", "1"))


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("id,target\na,0.0732\nb,0.0732\nc,0.0732\n", 1),
        ("id,has_tumour\na,0\nb,1\nc,.25\n", 1),
        ("id,probability\na,0\nb,0\nc,0\n", 1),
        ("id,Prob\na,\nb,\nc,\n", 1),
        ("id,benign\na,0.5\nb,0.5\nc,0.5\n", 0),
        ("id,malignant\na,0.0\nb,0.0\nc,0.0\n", 1),
    ],
)
def test_a_sample_of_one_probability_column_is_filled_with_that_of_one_class(
    text: str, index: int, sample: Path
) -> None:
    sample.write_text(text)
    form = sample_form(sample, INPUTS, BINARY)
    assert form.row(0, np.float32([0.25, 0.75]), BINARY) == ["a", (0.25, 0.75)[index]]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("id,label\na,0\nb,1\nc,0\n", "1"),
        ("id,label\na,malignant\nb,benign\nc,benign\n", "1"),
        ("id,probable_class\na,benign\nb,benign\nc,benign\n", "1"),
        ("id,malignant\na,0\nb,0\nc,0\n", "1"),
        ("id,label\na,0.0\nb,0.0\nc,0.0\n", "1"),
        ("id,age\na,0.5\nb,30\nc,4\n", "1"),
    ],
)
def test_a_sample_of_one_label_column_is_filled_with_labels(text: str, label: str, sample: Path) -> None:
    sample.write_text(text)
    assert sample_form(sample, INPUTS, BINARY).row(0, np.float32([0.25, 0.75]), BINARY) == ["a", label]


def test_a_label_that_is_a_fraction_is_a_label(sample: Path) -> None:
    sample.write_text("id,label\na,0.5\nb,0.5\nc,0.5\n")
    halves = (ClassName("half", "0.5"), ClassName("full", "1"))
    assert sample_form(sample, INPUTS, halves).row(0, np.float32([0.75, 0.25]), halves) == ["a", "0.5"]


def test_of_several_classes_a_probability_column_is_refused_unless_it_names_one(sample: Path) -> None:
    sample.write_text("id,target\na,0.5\nb,0.5\nc,0.5\n")
    message = r"asks for one probability per image in its column target, and the model has 3 classes; .*--no-sample"
    with pytest.raises(DataError, match=message):
        sample_form(sample, INPUTS, CLASSES)
    sample.write_text("id,other\na,0.5\nb,0.5\nc,0.5\n")
    assert sample_form(sample, INPUTS, CLASSES).columns == [2]


def test_the_class_of_a_probability_column_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = tmp_path / "sampleSubmission.csv"
    table.write_text("id,target\na,0.5\nb,0.5\nc,0.5\n")
    choose_form(PredictConfig(source=tmp_path, sample=table), INPUTS, BINARY, Screen())
    assert (
        "target: the probability of class 1 (malignant), as sampleSubmission.csv has probab" in capsys.readouterr().out
    )


def test_an_input_that_is_a_sample_by_its_name_is_followed(tmp_path: Path) -> None:
    (tmp_path / "submission_format.csv").touch()
    assert find_sample(tmp_path / "submission_format.csv") == tmp_path / "submission_format.csv"


@pytest.mark.parametrize("option", ["out", "probabilities"])
def test_an_output_that_is_one_of_the_images_is_refused(option: str, tmp_path: Path) -> None:
    image = tmp_path / "picture"
    config = PredictConfig(**{"source": tmp_path, option: image})
    with pytest.raises(ConfigError, match=f"--{option} .*picture is one of the images and would be overwritten"):
        check_outputs(config, Inputs(tmp_path, ["picture"], [str(image)]), [])


def test_that_labels_are_written_in_a_column_that_may_be_of_probabilities_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    table = tmp_path / "sampleSubmission.csv"
    table.write_text("id,target\na,0\nb,0\nc,0\n")
    choose_form(PredictConfig(source=tmp_path, sample=table), INPUTS, BINARY, Screen())
    printed = " ".join(capsys.readouterr().out.split())
    assert "target: labels, as sampleSubmission.csv has no probabilities there; where log loss or AUC" in printed
    assert "name that column probability in a copy, and give it with --sample" in printed
