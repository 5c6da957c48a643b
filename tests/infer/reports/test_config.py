"""A comparison of a folder with itself is refused before anything is read."""

from pathlib import Path

import pytest

from infer.core.errors import ConfigError
from infer.reports.config import CompareConfig


def test_one_folder_by_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    CompareConfig(paths=(tmp_path / "a", tmp_path / "b"))
    with pytest.raises(ConfigError, match="one folder is given twice"):
        CompareConfig(paths=(tmp_path / "a", tmp_path / "b" / ".." / "a"))
