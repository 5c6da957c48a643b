"""Options that --tune saves: for which file and device."""

import shutil
from pathlib import Path

import pytest

import infer.model.providers
from infer.model.provider_options import save_options, saved_options
from infer.model.providers import CPU, DIVIDED

FAST = {"session.intra_op.allow_spinning": "0"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.onnx").write_bytes(b"model")
    return tmp_path / "m.onnx"


def test_options_are_saved_for_the_files_content_wherever_it_lies(file: Path) -> None:
    assert saved_options(file, CPU, "fp32") is None
    save_options(file, CPU, FAST)
    assert saved_options(file, CPU, "fp32") == FAST
    assert saved_options(Path(shutil.copy(file, file.with_name("copy.onnx"))), CPU, "fp32") == FAST
    file.write_bytes(b"another model")
    assert saved_options(file, CPU, "fp32") is None


def test_another_device_has_options_of_its_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_options(file, CPU, FAST)
    monkeypatch.setattr(infer.model.providers, "cores", lambda: 999)
    assert saved_options(file, CPU, "fp32") is None
    save_options(file, CPU, {DIVIDED: "0"})
    monkeypatch.undo()
    monkeypatch.setenv("LAB_CACHE", str(file.parent / "cache"))
    assert saved_options(file, CPU, "fp32") == FAST


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"a": {"b": 1}}', "\x00"])
def test_a_damaged_file_holds_no_options(file: Path, content: str) -> None:
    (file.parent / "cache").mkdir()
    (file.parent / "cache" / "tuned.json").write_text(content)
    assert saved_options(file, CPU, "fp32") is None
    save_options(file, CPU, FAST)
    assert saved_options(file, CPU, "fp32") == FAST


@pytest.mark.parametrize(
    ("options", "precision"),
    [
        ({**FAST, "no such option": "1"}, "fp32"),
        ({"session.intra_op.allow_spinning": "\0"}, "fp32"),
        ({"session.x64quantprecision": "1"}, "fp32"),
        ({"session.x64quantprecision": "2"}, "int8"),
    ],
)
def test_options_that_are_not_measured_are_not_used(file: Path, options: dict[str, str], precision: str) -> None:
    save_options(file, CPU, options)
    assert saved_options(file, CPU, precision) is None


def test_an_option_of_some_files_alone_is_used_for_them(file: Path) -> None:
    save_options(file, CPU, {**FAST, "session.x64quantprecision": "1"})
    assert saved_options(file, CPU, "int8", may_overflow=True) == {**FAST, "session.x64quantprecision": "1"}
    assert saved_options(file, CPU, "int8") is None


def test_options_without_the_exact_kernels_are_not_used_for_a_file_that_needs_them(file: Path) -> None:
    save_options(file, CPU, FAST)
    assert saved_options(file, CPU, "int8", may_overflow=True) is None
    assert saved_options(file, CPU, "int8") == FAST
