"""bench/limits.py makes its inputs, and lab takes them, or refuses them with an error, at a small size."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import limits

    return limits


@pytest.fixture
def steps(
    limits: ModuleType, monkeypatch: pytest.MonkeyPatch, lab: Callable[..., Any], model: Path, tmp_path: Path
) -> Any:
    """The limits' steps as commands in this process, with the tests' own model."""

    def run(words: Sequence[str | Path | int]) -> Any:
        if words[0] == "step":
            limits.run_step(*map(str, words[1:]))
            return limits.Step(0.0, 0.0, 0, "")
        ran = lab(*words)
        return limits.Step(1.0, 2.0, ran.code, ran.err)

    def kill(words: Sequence[str | Path | int], progress: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("infer.pipeline.resume.INTERVAL", 0.0)
            patch.setattr("infer.predict.write_bad", interrupted)
            assert lab(*words).code != 0
        assert progress.stat().st_size

    made = limits.Limits(tmp_path, run, kill)
    monkeypatch.setattr(made, "model", lambda: model)
    return made


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def rows_of(printed: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]


def test_many_images_and_rows(steps: Any, capsys: pytest.CaptureFixture[str]) -> None:
    steps.images(60)
    steps.rows(150, 60)
    rows = rows_of(capsys.readouterr().out)
    assert [row[1] for row in rows].count("`lab predict`: list") == 2
    assert {tuple(row[2:]) for row in rows} <= {("0.0", "0"), ("1.0", "2")}
    assert len(rows) == 6
    assert len((steps.folder / "images.csv").read_text().splitlines()) == 61
    assert len((steps.folder / "data.csv").read_text().splitlines()) == 151


def test_a_killed_prediction_and_a_check(steps: Any, capsys: pytest.CaptureFixture[str]) -> None:
    steps.resumed(30)
    rows = rows_of(capsys.readouterr().out)
    assert [row[1].partition(":")[0] for row in rows] == [
        "`lab predict` with a report",
        "the same, killed and run again",
        "`lab data check`",
    ]
    (steps.folder / "whole.progress").touch()
    with pytest.raises(RuntimeError, match=r"30 rows for 30 images, and .*whole.progress"):
        steps.require_whole(steps.folder / "whole.csv", 30)


def test_large_images(steps: Any, capsys: pytest.CaptureFixture[str]) -> None:
    steps.pixels(20_000)
    steps.too_many_pixels(80_000_000)
    *taken, refused = rows_of(capsys.readouterr().out)
    assert [row[0].partition(" (")[0] for row in taken] == ["an image of 158 x 126 pixels"] * 3
    assert "more than 80 million" in refused[1]


def test_another_exit_code_than_the_expected_ends_it(steps: Any) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 1 instead of 0: .*does not exist"):
        steps.step("none", "`lab data check`", "data", "check", steps.folder / "absent")


@pytest.mark.parametrize("length", [1000, 1001, 1200, 1201, 1202, 3999, 4000])
def test_a_long_folder_has_as_many_bytes_as_asked(length: int, limits: ModuleType, tmp_path: Path) -> None:
    assert len(str(limits.long_folder(tmp_path / "long", length))) == length
