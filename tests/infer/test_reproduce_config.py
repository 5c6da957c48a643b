from pathlib import Path
from typing import Any

import pytest

from infer.core.errors import ConfigError
from infer.reproduce_config import ReproduceConfig


@pytest.mark.parametrize(
    ("target", "values", "message"),
    [
        ("run", {"model": (Path("m.onnx"),)}, "--model is not for runs"),
        ("s.csv", {"labels": Path("l.csv")}, "--labels is not for CSVs of predictions"),
        ("s.csv", {"images": (Path("i"),)}, "--images is not for CSVs of predictions"),
        ("run", {"out": Path("new.csv")}, "--out must be a folder's name"),
        ("s.csv", {"out": Path("new.onnx")}, "--out must end in .csv"),
        ("s.csv", {"out": Path("run/../s.csv")}, "is the CSV to compare with; give another name"),
    ],
)
def test_options_of_the_other_kind_and_outputs_that_cannot_be_are_refused(
    target: str, values: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "s.csv").write_text("ID,label\n")
    with pytest.raises(ConfigError, match=message):
        ReproduceConfig(target=Path(target), **values)


def test_a_folder_is_a_run_and_a_file_a_prediction(tmp_path: Path) -> None:
    assert ReproduceConfig(target=tmp_path, out=tmp_path / "again").is_run
    assert not ReproduceConfig(target=tmp_path / "s.csv", out=tmp_path / "again.csv").is_run
