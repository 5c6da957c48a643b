"""What a prediction leaves beside its CSV suffices to repeat it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infer.config import PredictConfig
from infer.core.errors import DataError
from infer.model.providers import CPU
from infer.prediction_record import NOT_OPTIONS, read_record

Lab = Callable[..., Any]


@pytest.fixture
def predicted(lab: Lab, model: Path, cells: Path, tmp_path: Path) -> Path:
    ran = lab("predict", cells / "test", "-m", model, "--out", tmp_path / "s.csv", "-b", "5", "--bad-images", "skip")
    assert ran.code == 0, ran.err
    return tmp_path / "s.csv"


def test_the_record_names_models_images_options_and_the_file_that_was_written(
    predicted: Path, model: Path, cells: Path
) -> None:
    record = read_record(predicted)
    assert record.csv.sha256 == hashlib.sha256(predicted.read_bytes()).hexdigest()
    assert [(Path(item.path), item.sha256) for item in record.models] == [
        (model, hashlib.sha256(model.read_bytes()).hexdigest())
    ]
    assert record.sample is not None
    assert Path(record.sample.path) == cells / "sample_submission.csv"
    assert (record.images, record.probabilities) == (12, None)
    assert (record.options["device"], record.options["runtime"]) == (CPU.device, CPU.runtime)
    assert {"lab", "onnxruntime", "pillow", "numpy", "threads", "device", "processor"} <= set(record.environment)
    config = record.config({})
    assert (config.source, config.batch_size, config.bad_images) == (cells / "test", 5, "skip")


def test_the_record_is_the_same_each_time(predicted: Path, lab: Lab, model: Path, cells: Path) -> None:
    path = predicted.with_suffix(".prediction.json")
    before = path.read_bytes()
    lab("predict", cells / "test", "-m", model, "--out", predicted, "-b", "5", "--bad-images", "skip")
    assert path.read_bytes() == before


def test_each_option_is_recorded_or_has_a_reason_not_to_be(predicted: Path) -> None:
    names = set(PredictConfig.__dataclass_fields__)
    assert set(read_record(predicted).options) == names - NOT_OPTIONS
    assert names >= NOT_OPTIONS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no s.prediction.json beside .*s.csv, .*; predict again"),
        ("{", "s.prediction.json cannot be read .*; predict again"),
        ("[]", "s.prediction.json cannot be read"),
        ('{"version": 1}', "s.prediction.json cannot be read"),
        ('{"version": 1, "options": [], "environment": {}}', "its options and its environment must be objects"),
        ('{"version": 1, "options": {}, "environment": 3}', "s.prediction.json cannot be read"),
        (
            '{"version": 1, "options": {}, "environment": {}, "sample": {"path": 1, "sha256": "", '
            '"probability_columns": []}}',
            r"s.prediction.json cannot be read \(a path and a sha256 must be text",
        ),
        ('{"version": 2, "options": {}}', "written by a later version of lab"),
        ('{"version": 1, "options": {"psychic": true}}', "written by a later version of lab"),
    ],
)
def test_a_record_that_is_missing_damaged_or_of_a_later_version_is_an_error(
    content: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text("ID,label\n")
    if content is not None:
        (tmp_path / "s.prediction.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_record(tmp_path / "s.csv")


def test_a_record_with_values_of_another_kind_is_an_error(predicted: Path) -> None:
    path = predicted.with_suffix(".prediction.json")
    content = json.loads(path.read_text())
    (model,) = content["models"]
    options = content["options"]
    damaged = [
        {"models": ["model.onnx"]},
        {"models": [None]},
        {"models": [{**model, "path": "\ud800.onnx"}]},
        {"csv": None},
        {"options": {name: value for name, value in options.items() if name != "source"}},
        {"options": {**options, "source": ["cells"]}},
        {"options": {**options, "truth": "\udfff"}},
    ]
    for change in damaged:
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(DataError, match="cannot be read"):
            read_record(predicted)


def test_a_record_may_name_files_whose_names_are_no_utf_8(predicted: Path) -> None:
    path = predicted.with_suffix(".prediction.json")
    content = json.loads(path.read_text())
    content["options"]["source"] = "/data/\udcff"
    path.write_text(json.dumps(content))
    assert read_record(predicted).options["source"] == "/data/\udcff"
