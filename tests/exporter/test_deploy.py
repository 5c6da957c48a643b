"""What `lab export` makes of a file beside it, and which options it takes for a finished one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.config import ExportConfig
from infer.core.errors import ConfigError


def test_folders_are_made_of_a_finished_file_without_torch(
    lab: Callable, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "onnx", "exporter.export"):
        monkeypatch.setitem(sys.modules, name, None)
    ran = lab("export", model, "--triton", tmp_path / "models")
    assert ran.code == 0, ran.err
    assert "lab predict" not in ran.out  # nothing was exported


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "model.onnx is an exported file already; give --triton FOLDER or --web"),
        ({"triton": Path("a"), "opset": 18}, "--opset is for an export, and model.onnx is an exported file; leave it"),
        ({"triton": Path("a"), "cam": True}, "--cam is for an export"),
        ({"triton": Path("a.zip")}, "--triton must be a folder's name, got a.zip"),
    ],
)
def test_a_finished_file_takes_no_option_of_an_export(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportConfig(run=Path("model.onnx"), **values)


def test_a_folder_of_another_machine_is_refused(lab: Callable, model: Path) -> None:
    ran = lab("export", model, "--triton", "s3://bucket/models")
    assert ran.code == 2
    assert "--triton must be a folder of this machine" in ran.err
