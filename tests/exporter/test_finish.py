"""The last steps of a file: what fails there leaves nothing behind."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

import exporter.finish
from exporter.finish import check_file_opset
from infer.core.errors import ExportError


def test_a_file_of_another_opset_than_requested_is_refused(model: Path) -> None:
    check_file_opset(model, 17)
    with pytest.raises(ExportError, match="opset 18 was requested, the file has"):
        check_file_opset(model, 18)


def test_a_disk_that_fills_leaves_nothing_behind_and_an_earlier_file_as_it_was(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fresh / "model.onnx").write_bytes(b"from before")
    before = {path.name for path in fresh.iterdir()}

    def full(path: Path, found: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporter.finish, "attach_evidence", full)
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "the disk is full" in ran.err
    assert {path.name for path in fresh.iterdir()} == before
    assert (fresh / "model.onnx").read_bytes() == b"from before"


def test_a_finished_file_that_is_not_what_was_written_is_refused(
    lab: Callable, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporter.finish.attach_evidence

    def flip_a_bit(path: Path, found: dict) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        real(path, found)

    monkeypatch.setattr(exporter.finish, "attach_evidence", flip_a_bit)
    ran = lab("export", fresh)
    assert ran.code == 1
    assert "is not what was written" in ran.err
    assert not (fresh / "model.onnx").exists()
