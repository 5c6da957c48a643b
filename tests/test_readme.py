"""The README is true: its commands run in their order and print what it shows, and it lists every package."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.commands import lab_arguments

import trainer.config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    (command.removeprefix("$ "), output)
    for kind, block in re.findall(r"```(sh|console)\n(.*?)```", README, re.DOTALL)
    for command, *output in ([block.splitlines()] if kind == "console" else ([line] for line in block.splitlines()))
]
"""Each command of the README in its order, with the lines of output below it, if there are any."""
UNSTABLE = ("cache:", "device:", "gate:", "cpu,", "threshold")
"""How lines begin whose words depend on the machine or on the weights."""


def mask(line: str) -> str:
    """A line of output without its paths, numbers, borders and blanks, which differ from run to run."""
    line = re.sub(r"\S*/\S*", "PATH", line)
    line = re.sub(r"[-+]?\d[\d.,:e+-]*%?( s| min)?", "NUMBER", line.removesuffix("  best"))
    return " ".join(re.sub(r"[\u2500-\u257f]", " ", line).split())


@pytest.mark.long
def test_the_readmes_commands_run_in_their_order_and_print_what_it_shows(
    lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cells, tmp_path / "cells")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(trainer.config.BY_DEVICE, "cpu", {"epochs": 1, "batch_size": 8, "image_size": 32})
    assert len(COMMANDS) >= 20
    assert [command.split()[1] for command, output in COMMANDS if output] == ["train", "export", "predict"]
    for command, shown in COMMANDS:
        ran = lab(*lab_arguments(command))
        assert ran.code == 0, f"{command}: {ran.err}"
        printed = {mask(line) for line in ran.out.splitlines()} | {"..."}
        for line in shown:
            assert line.startswith(UNSTABLE) or mask(line) in printed, line
    assert (tmp_path / "submission.csv").is_file()
    assert (tmp_path / "compare" / "curves.png").is_file()


def test_the_readme_is_short() -> None:
    assert README.count("\n") < 200


def test_the_readmes_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\((docs/pictures/[^)]+)\)", README)
    assert len(pictures) == 2
    assert {ROOT / name for name in pictures} == set((ROOT / "docs" / "pictures").iterdir())
    assert sum((ROOT / name).stat().st_size for name in pictures) <= 300_000
    assert "url(http" not in (ROOT / "docs" / "pictures" / "terminal.svg").read_text(encoding="utf-8")


def test_the_readmes_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 10
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_readme_has_a_line_for_every_package() -> None:
    listed = re.findall(r"^ {4,6}(\w+)/ ", README, re.MULTILINE)
    present = [
        path.parent.name
        for room in ("infer", "trainer", "exporter", "lab")
        for path in (ROOT / room).rglob("__init__.py")
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
