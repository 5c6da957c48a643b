from pathlib import Path

import pytest

from infer.core.errors import ConfigError
from infer.dataset.config import DataCheckConfig, DataSplitConfig


def test_the_report_is_named_after_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells").mkdir()
    monkeypatch.chdir(tmp_path / "cells")
    assert DataCheckConfig(data=Path()).folder == Path("data-check-cells")
    assert DataCheckConfig(data=Path(), out=Path("x")).folder == Path("x")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"valid": 0.5, "test": 0.5}, "--valid and --test together must be above 0 and below 1, got 1.0"),
        ({"valid": 0.0, "test": 0.0}, "--valid and --test together must be above 0 and below 1, got 0.0"),
        ({"valid": 0.0, "keep_test": True}, "--valid and --test together"),
        ({"valid": 1.5}, "--valid must be at least 0 and below 1"),
        ({"test": 0.2, "keep_test": True}, "--test and --keep-test contradict each other"),
        ({"group_pattern": "("}, "--group-pattern is not a regular expression"),
        ({"group_pattern": "p[0-9]+"}, "--group-pattern needs a group in brackets"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataSplitConfig(source=Path("x"), **given)


@pytest.mark.parametrize("given", [{"near": 0.5}, {"tiny": -1}, {"odd_aspect": 1.0}, {"empty": 200.0}])
def test_limits_of_a_check_out_of_range_are_refused(given: dict) -> None:
    with pytest.raises(ConfigError):
        DataCheckConfig(data=Path("x"), **given)
