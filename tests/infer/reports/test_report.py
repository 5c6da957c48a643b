"""What a report's reader sees: golden text at a fixed width, the JSON's numbers, the files."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import save
from rich.console import Console

import infer.reports.report
from infer.metrics.metrics import measure
from infer.metrics.result import EvaluationResult
from infer.model.card import ClassName, OperatingPoint
from infer.reports.files import report_files
from infer.reports.report import report_tables

GOLDEN = Path(__file__).parent / "golden"


def result() -> EvaluationResult:
    truth = np.array([0] * 6 + [1] * 10)
    predicted = np.array([0, 0, 0, 0, 1, 1] + [1] * 9 + [0])
    return EvaluationResult(
        title="test split of made-up cells",
        classes=(ClassName("[/normal]", "007"), ClassName("blast", "1")),
        ordered=True,
        paths=tuple(map(str, range(16))),
        truth=truth,
        probabilities=np.eye(2, dtype=np.float32)[predicted],
    )


def printed(normalize: str) -> str:
    text = io.StringIO()
    Console(file=text, width=70).print(*report_tables(result(), measure(result()), normalize, 70), sep="\n")
    return text.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("classes", [2, 6])
def test_tables_fit_the_terminal_and_leave_no_metric_out(width: int, classes: int) -> None:
    truth = np.arange(60) % classes
    names = tuple(ClassName(f"class number {k}", str(k)) for k in range(classes))
    made = replace(result(), classes=names, truth=truth, probabilities=np.eye(classes, dtype=np.float32)[truth[::-1]])
    made = replace(made, operating_point=OperatingPoint(0.123, 50, 20) if classes == 2 else None)
    text = io.StringIO()
    Console(file=text, width=width).print(*report_tables(made, measure(made), "none", width), sep="\n")
    assert max(map(len, text.getvalue().splitlines())) <= width
    words = " ".join(text.getvalue().replace("│", " ").replace("┃", " ").split())
    for name in ("precision", "recall", "specificity", "F1", "ROC AUC", "weighted kappa", "log loss", "0.000 to 0."):
        assert name in words
    assert ("sensitivity at 0.123" in words) is (classes == 2)


def test_the_printed_report_is_the_golden_one() -> None:
    assert printed("none") == (GOLDEN / "report.txt").read_text(encoding="utf-8")


def test_a_normalised_report_is_labelled_with_what_its_shares_are_of() -> None:
    assert "shares of each row, the truth" in printed("true")
    assert "0.667" in printed("true")


def test_the_saved_report_holds_the_printed_numbers(tmp_path: Path) -> None:
    save(result(), tmp_path / "report", pictures=False)
    saved = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert saved["confusion"] == [[4, 2], [1, 9]]
    assert saved["accuracy"]["value"] == 13 / 16
    assert saved["classes"][0] == {"name": "[/normal]", "label": "007"}
    assert saved["confusion_layout"] == "rows: truth, columns: prediction"


def test_the_saved_report_is_json_for_every_reader_where_much_is_undefined(tmp_path: Path) -> None:
    one = replace(result(), truth=np.zeros(16, dtype=np.int64))
    save(one, tmp_path, pictures=False)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    saved = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert saved["version"] == 1
    assert saved["roc_auc"] == {"value": None, "low": None, "high": None}
    assert saved["accuracy"]["low"] < saved["accuracy"]["value"] < saved["accuracy"]["high"]


def test_a_report_has_all_its_files_with_the_same_bytes_each_time(tmp_path: Path, all_pictures: None) -> None:
    known = set(report_files()) - {"learning.png", "learning.svg"}  # no run is known
    for name in ("one", "two"):
        save(result(), tmp_path / name)
    assert {path.name for path in (tmp_path / "one").iterdir()} == known
    for name in known:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_what_fails_before_the_first_file_leaves_the_earlier_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(result(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*arguments: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(infer.reports.report, "report_page", fail)
    with pytest.raises(RuntimeError, match="no page"):
        save(replace(result(), title="another"), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
