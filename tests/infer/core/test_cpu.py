from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.onnx_files import without_evidence

from infer.core import cpu
from infer.core.cpu import instructions, int8_problem


def test_instructions_are_those_of_the_processors_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name : X\nflags : fpu avx2 avx512_vnni sse\n")
    monkeypatch.setattr(cpu, "Path", lambda name: tmp_path / "cpuinfo")
    assert instructions() == ("avx2", "avx512_vnni")
    (tmp_path / "cpuinfo").unlink()
    assert instructions() == ()


@pytest.mark.parametrize("last", cpu.INT8_INSTRUCTIONS)
def test_avx2_alone_is_a_problem_for_int8_and_vnni_or_amx_is_none(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, good in ((("avx2",), False), (("avx2", "avx512f"), False), (("avx2", last), True), ((), True)):
        monkeypatch.setattr(cpu, "instructions", lambda flags=flags: flags)
        assert (int8_problem() is None) is good


def test_predicting_with_int8_on_a_processor_that_may_overflow_says_so(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    int8 = tmp_path / "int8.onnx"
    int8.write_bytes(model.read_bytes())

    def relabel(changed) -> None:  # type: ignore[no-untyped-def]
        changed.metadata_props[0].value = changed.metadata_props[0].value.replace('"fp32"', '"int8"')

    without_evidence(int8, relabel)
    arguments = ("predict", cells / "test", "--no-sample", "--out", tmp_path / "o.csv", "--model")
    monkeypatch.setattr(cpu, "instructions", lambda: ("avx2",))
    assert "note: this processor may overflow in 8 bits" in lab(*arguments, int8).out
    assert "overflow" not in lab(*arguments, model).out
    monkeypatch.setattr(cpu, "instructions", lambda: ("avx2", "avx_vnni"))
    assert "overflow" not in lab(*arguments, int8).out
