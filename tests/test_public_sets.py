"""docs/data.md says how public data sets are read; bench/layouts.py makes them and finds it out."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Public data sets")[2].partition("\n## ")[0]
QUICK = ("C-NMC 2019", "APTOS 2019", "ISIC 2016, task 3", "SIIM-ISIC 2020", "CheXpert", "COVID-QU-Ex", "Raabin-WBC")


@pytest.fixture
def layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))  # which the script sets for each set
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import layouts

    return layouts


def test_the_table_of_the_page_has_a_row_for_each_set_and_none_is_wrong(layouts: ModuleType) -> None:
    rows = re.findall(r"^\| (.+?) \| (?:the folder|`[^|]+`) \| (\S+?)[,:]?(?: .*)? \|$", SECTION, re.MULTILINE)
    assert [name for name, _ in rows] == [item.name for item in layouts.SETS]
    assert {state for _, state in rows} == {layouts.RIGHT, layouts.REFUSED}


def test_some_sets_are_read_as_the_page_says(layouts: ModuleType) -> None:
    chosen = [item for item in layouts.SETS if item.name in QUICK]
    assert len(chosen) == len(QUICK)
    for item in chosen:
        assert layouts.row_text(item, layouts.measure(item)) in PAGE


def test_a_set_that_is_read_otherwise_than_it_was_made_is_wrong(layouts: ModuleType) -> None:
    def swapped(made: layouts.Folder) -> None:  # type: ignore[name-defined]
        made.classes(".", ("a", "b"), "{k}.png")
        made.truth[0], made.truth[2] = made.truth[2], made.truth[0]

    outcome = layouts.measure(layouts.PublicSet("swapped", swapped))
    assert (outcome.state, outcome.detail[:10]) == (layouts.WRONG, "2 pictures")
    assert layouts.measure(layouts.PublicSet("empty", lambda made: None)).state == layouts.REFUSED
