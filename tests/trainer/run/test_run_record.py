from pathlib import Path

import pytest

from infer.core.errors import DataError
from trainer.run.run_record import Part, RunRecord, read_record, record_start

HERE, THERE = {"torch": "2.14.1", "threads": "1"}, {"torch": "2.14.1", "threads": "4"}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = RunRecord((Part(1, HERE), Part(3, THERE)), "ab", "cd")
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    record_start(tmp_path, "ef")
    assert read_record(tmp_path) == RunRecord(record.parts, "ab", "ef")


def test_a_run_of_an_earlier_version_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    record_start(tmp_path, "ef")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parts", "resumed_at", "expected"),
    [
        ([(1, HERE)], (3, THERE), [(1, HERE), (3, THERE)]),
        ([(1, HERE)], (3, HERE), [(1, HERE)]),
        ([(1, HERE), (3, THERE)], (3, HERE), [(1, HERE)]),
        ([(1, HERE), (3, THERE)], (2, THERE), [(1, HERE), (2, THERE)]),
        ([], (4, HERE), [(4, HERE)]),
    ],
)
def test_a_part_is_added_where_a_run_goes_on_elsewhere_and_replaces_what_is_repeated(
    parts: list, resumed_at: tuple, expected: list
) -> None:
    record = RunRecord(tuple(Part(*part) for part in parts)).resumed(Part(*resumed_at))
    assert record.parts == tuple(Part(*part) for part in expected)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "parts": [1]}',
        '{"version": 1, "parts": [{"first_epoch": 1e999, "environment": {}}]}',
        '{"version": 2}',
    ],
)
def test_a_damaged_record_and_that_of_a_later_version_are_errors(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json"):
        read_record(tmp_path)
