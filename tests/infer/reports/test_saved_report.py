import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import save

from infer.core.errors import DataError
from infer.metrics.point_values import softmax
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName, OperatingPoint
from infer.reports.saved_report import read_report


@pytest.fixture
def result() -> EvaluationResult:
    rng = np.random.default_rng(0)
    return EvaluationResult(
        title="test split of [cells]",
        classes=(ClassName('a "quoted", name', "007"), ClassName("=1+1", "path")),
        ordered=True,
        paths=("a,b.png", " spaces .png", 'q"uote.png', "line\nbreak.png", "caf\udce9.png"),
        truth=np.array([0, 1, 1, 0, 1]),
        probabilities=softmax(rng.normal(0, 20, (5, 2))),
        temperature=1.25,
        groups=("p1", "", "p 2", "p1", "p3"),
        operating_point=OperatingPoint(0.25, 30, None),
        notes=("chosen on these images",),
    )


def test_a_report_comes_back_as_it_was(result: EvaluationResult, tmp_path: Path) -> None:
    save(result, tmp_path, pictures=False)
    back = read_report(tmp_path)
    for name in ("title", "classes", "ordered", "paths", "temperature", "groups", "operating_point", "notes"):
        assert getattr(back, name) == getattr(result, name), name
    assert back.truth.tolist() == result.truth.tolist()
    np.testing.assert_array_equal(back.probabilities, result.probabilities)


def test_unknown_patients_stay_unknown(result: EvaluationResult, tmp_path: Path) -> None:
    save(replace(result, groups=(), operating_point=None), tmp_path, pictures=False)
    assert (read_report(tmp_path).groups, read_report(tmp_path).operating_point) == ((), None)


def test_the_predictions_can_be_read_without_lab(result: EvaluationResult, tmp_path: Path) -> None:
    save(result, tmp_path, pictures=False)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        header, first, *_ = csv.reader(file)
    assert header == ["path", "truth", "group", "predicted", "007", "path"]
    assert first[:3] == ["a,b.png", "007", "p1"]
    assert first[3] == ("007", "path")[result.predicted[0]]


def replace_probability(text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        header, first, *others = (folder / "predictions.csv").read_text(errors="surrogateescape").splitlines()
        changed = ",".join([*first.split(",")[:-1], text])
        (folder / "predictions.csv").write_text("\n".join([header, changed, *others]), errors="surrogateescape")

    return damage


def damage_json(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "report.json").read_text())
        change(content)
        (folder / "report.json").write_text(json.dumps(content))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "report.json").unlink(), "there is no report in"),
        (lambda folder: (folder / "report.json").write_text("{"), "is not a report"),
        (lambda folder: (folder / "report.json").write_text("[1]"), "is not a report"),
        (damage_json(lambda content: content.update(version=float("inf"))), "is not a report"),
        (lambda folder: (folder / "report.json").write_text("[" * 100_000), "is not a report"),
        (lambda folder: (folder / "predictions.csv").unlink(), "cannot read"),
        (
            lambda folder: (folder / "predictions.csv").write_text("path,truth\n"),
            "is damaged.*columns of predictions.csv",
        ),
        *((replace_probability(text), "is damaged.*not from 0 to 1") for text in ("inf", "nan", "-0.25", "1.5")),
        (damage_json(lambda content: content.pop("version")), "report version 0.*make it again"),
        (damage_json(lambda content: content.update(version=2)), "report version 2.*install a newer lab"),
        (damage_json(lambda content: content.pop("classes")), "is damaged"),
        (damage_json(lambda content: content.update(classes=[{"name": "a", "label": "b"}])), "is damaged"),
    ],
)
def test_a_missing_or_damaged_report_is_one_line(
    result: EvaluationResult, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    save(result, tmp_path, pictures=False)
    damage(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read_report(tmp_path)
    assert "\n" not in str(caught.value)
