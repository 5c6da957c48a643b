"""Options of a provider: the defaults, what is measured, and what is remembered for which file and device."""

import shutil
from pathlib import Path

import pytest

import infer.model.provider_options
from infer.model.cuda import CPU, CUDA
from infer.model.provider_options import choices, default_options, remember, remembered

FAST = {"session.intra_op.allow_spinning": "0"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.onnx").write_bytes(b"model")
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("provider", [CPU, CUDA])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_choice_is_tried_once_the_default_first_and_none_computes_in_tf32(provider: str, precision: str) -> None:
    found = [dict(options) for options in choices(provider, precision)]
    assert found[0] == default_options(provider, precision)
    assert len({tuple(sorted(options.items())) for options in found}) == len(found) == (8 if provider == CUDA else 2)
    if provider == CUDA:
        assert {options["use_tf32"] for options in found} == {"0"}


def test_fp16_runs_with_channels_last_on_a_gpu() -> None:
    assert default_options(CUDA, "fp16")["prefer_nhwc"] == "1"
    assert default_options(CUDA, "fp32")["prefer_nhwc"] == "0"


def test_options_are_remembered_for_the_files_content_wherever_it_lies(file: Path) -> None:
    assert remembered(file, CPU) is None
    remember(file, CPU, FAST)
    assert remembered(file, CPU) == FAST
    assert remembered(Path(shutil.copy(file, file.with_name("copy.onnx"))), CPU) == FAST
    file.write_bytes(b"another model")
    assert remembered(file, CPU) is None


def test_another_device_remembers_for_itself(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(file, CPU, FAST)
    monkeypatch.setattr(infer.model.provider_options, "cores", lambda: 999)
    assert remembered(file, CPU) is None
    remember(file, CPU, {"a": "b"})
    monkeypatch.undo()
    monkeypatch.setenv("LAB_CACHE", str(file.parent / "cache"))
    assert remembered(file, CPU) == FAST


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"a": {"b": 1}}', "\x00"])
def test_a_damaged_memory_is_none(file: Path, content: str) -> None:
    (file.parent / "cache").mkdir()
    (file.parent / "cache" / "tuned.json").write_text(content)
    assert remembered(file, CPU) is None
    remember(file, CPU, FAST)
    assert remembered(file, CPU) == FAST


@pytest.mark.gpu
def test_a_gpu_is_known_by_its_name_and_driver() -> None:
    from infer.model.cuda import find_problem

    if problem := find_problem():
        pytest.skip(problem)
    assert ", CUDA 1" in infer.model.provider_options._gpu()
