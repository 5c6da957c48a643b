"""A few of the mutated inputs of bench/fuzz.py: each is read or refused in one line."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
WHOLE = ("zip", "truth", "ONNX file", "recipe")
"""Kinds of which one input goes through the command; of all others the readers are called."""


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import fuzz

    return fuzz


def test_mutated_inputs_of_every_kind_are_read_or_refused_in_one_line(
    fuzz: ModuleType, cells: Path, run: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    setting = fuzz.Setting(tmp_path, cells, run, model)
    setting.folder("out")
    kinds = [replace(kind, share=1_000) for kind in fuzz.kinds(setting)]
    inputs = [(kind, index) for kind in kinds for index in range(kind.name not in WHOLE, 10)]
    outcomes = list(fuzz.attempts(inputs, seed=1))
    for (kind, index), outcome in zip(inputs, outcomes, strict=True):
        assert outcome.state != fuzz.BROKEN, f"{kind.name}, input {index}: {outcome.what}"
        assert outcome.code in (0, 1, 2)
    assert {outcome.state for outcome in outcomes} == {fuzz.READ, fuzz.REFUSED}
    assert sum(outcome.whole for outcome in outcomes) == len(WHOLE)


def test_what_breaks_is_found(fuzz: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def read(path: Path) -> None:
        content = path.read_bytes()
        if content == b"\x00":
            fuzz.os.kill(fuzz.os.getpid(), 9)
        if content == b"\x01":
            fuzz.os.write(2, b"libx: bad\n")
        if content == b"\x02":
            raise ValueError(content)
        if content == b"\x03":
            raise fuzz.cli.LabError("it is damaged; write it again")

    kind = fuzz.Kind("bytes", {"x": b""}, [lambda chance, _: bytes([chance.randrange(6)])], tmp_path, read)
    outcomes = list(fuzz.attempts([(kind, index) for index in range(40)], 0))
    assert [outcome.index for outcome in outcomes] == list(range(40))
    assert {outcome.what for outcome in outcomes if outcome.state == fuzz.BROKEN} == {
        "killed by SIGKILL",
        "also on standard error: libx: bad",
        "ValueError",
    }
    assert {outcome.code for outcome in outcomes if outcome.state == fuzz.REFUSED} == {1}
    fuzz.show(kind, outcomes, indices=False)
    table = capfd.readouterr().out
    assert "x killed by SIGKILL" in table
    assert "[" not in table, "inputs are named with --indices alone"
