"""A report's folder holds the report's files, and no other file of it is touched."""

from pathlib import Path

import pytest
from helpers.results import random_result, save

import infer.reports.files
import infer.reports.pictures
from infer.core.file_sets import file_set
from infer.reports.files import PREDICTIONS, REPORT_JSON, remove_report, report_files


def test_a_report_has_numbers_predictions_a_page_and_each_picture_twice(all_pictures: None) -> None:
    names = report_files()
    assert names[:3] == ("report.json", "predictions.csv", "report.html")
    pictures = [kind.name for kind in infer.reports.pictures.PICTURES]
    assert names[3:] == tuple(f"{name}.{suffix}" for name in pictures for suffix in ("png", "svg"))
    assert len(set(names)) == len(names) == 17


def test_only_files_of_a_report_are_removed_except_those_to_keep(tmp_path: Path, all_pictures: None) -> None:
    for name in (*report_files(), "notes.txt", "roc.pdf"):
        (tmp_path / name).write_text("")
    with file_set(tmp_path / REPORT_JSON) as files:
        remove_report(files, tmp_path, keep=(REPORT_JSON, PREDICTIONS))
    assert {path.name for path in tmp_path.iterdir()} == {REPORT_JSON, PREDICTIONS, "notes.txt", "roc.pdf"}


def test_without_a_report_nothing_is_removed_and_no_picture_code_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.reports.files, "report_files", None)
    with file_set(tmp_path / "absent" / REPORT_JSON) as files:
        remove_report(files, tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_files_that_only_an_earlier_report_had_are_removed_and_the_users_own_are_not(tmp_path: Path) -> None:
    save(random_result(2, 20), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    save(random_result(2, 20), tmp_path, pictures=False)
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "predictions.csv", "notes.txt"}
