"""The README's commands work, in their order, as they are written; its layout lists every module."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import trainer.config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
TOO_LONG = {"--epochs": "1", "--batch-size": "8", "--image-size": "32"}
"""Values in the README that the tests make smaller."""


def test_the_readmes_commands_run_in_their_order(
    lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cells, tmp_path / "cells")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(trainer.config.BY_DEVICE, "cpu", {"epochs": 1, "batch_size": 8, "image_size": 32})
    lines = [line for block in BLOCKS for line in block.splitlines()]
    assert len(lines) >= 10
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "lab"
        small = [TOO_LONG.get(before, word) for before, word in zip(["", *words], words, strict=False)]
        arguments = [
            name for word in small for name in (sorted(map(str, Path().glob(word))) if "runs/*" in word else [word])
        ]
        ran = lab(*arguments)
        assert ran.code == 0, f"{line}: {ran.err}"
    assert (tmp_path / "submission.csv").is_file()
    assert (tmp_path / "compare" / "curves.png").is_file()


def test_the_readme_has_a_line_for_every_package() -> None:
    listed = re.findall(r"^ {4,6}(\w+)/ ", README, re.MULTILINE)
    present = [
        path.parent.name for room in ("infer", "trainer", "exporter") for path in (ROOT / room).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted([*present, "tests", "bench"])


def test_the_readme_names_the_two_commands_that_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^ {4}make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("page", ["README.md", "docs/predict.md"])
def test_a_pages_program_runs(
    page: str,
    model: Path,
    cells: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    shutil.copytree(cells, tmp_path / "cells")
    shutil.copy(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    name, label, *_ = capsys.readouterr().out.split()
    assert (tmp_path / "cells" / "test" / name).is_file()
    assert label in ("0", "1")
