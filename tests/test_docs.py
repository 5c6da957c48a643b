"""The pages in docs/: their commands run, and they name everything that there is."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import trainer.config
from trainer.recipe import recipe_names
from trainer.steps import STEPS

DOCS = Path(__file__).parent.parent / "docs"
COMMANDS = [
    (page.name, line)
    for page in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]
SMALLER = {"--epochs": "1", "--image-size": "32", "--batch-size": "8"}


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_in_the_docs_runs(
    page: str, line: str, lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cells, tmp_path / "cells")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(trainer.config.BY_DEVICE, "cpu", {"epochs": 1, "batch_size": 8, "image_size": 32})
    monkeypatch.setattr("trainer.rate_range.STEPS", 6)
    program, *words = shlex.split(line)
    assert program == "lab"
    ran = lab(*(SMALLER.get(before, word) for before, word in zip(["", *words], words, strict=False)))
    assert ran.code == 0, f"{page}: {line}: {ran.err}"


def test_every_augmentation_step_has_its_line() -> None:
    text = (DOCS / "augmentation.md").read_text(encoding="utf-8")
    for name in STEPS:
        assert re.search(rf"^\|.*`{name}[(`]", text, re.MULTILINE), name


def test_every_recipe_is_on_the_page_that_compares_them() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for name in recipe_names():
        assert re.search(rf"^\| {name} \|", text, re.MULTILINE), name


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link
