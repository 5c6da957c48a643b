from pathlib import Path

import pytest

from infer.dataset import config as check_files
from infer.images.listing import list_images
from infer.images.skipped import OTHER, OWN, Skipped, count_files, file_reason, folder_reason, is_own_output
from infer.model import runs
from infer.reports import compare, files


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "$Recycle.Bin", "lost+found", "found.000", "wandb", "#recycle"])
def test_folders_of_other_programs_are_skipped_in_any_case(name: str) -> None:
    assert folder_reason(name) == folder_reason(name.upper()) == "helper files"


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store", "._a.jpg", "DICOMDIR"])
def test_files_of_other_programs_are_skipped(name: str) -> None:
    assert file_reason(name) == "helper files"


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".Trash-1000", ".a.jpg"])
def test_hidden_names_are_skipped(name: str) -> None:
    assert folder_reason(name) == file_reason(name) == "hidden files"


@pytest.mark.parametrize("name", ["cat", "recycling", "0", "_a.jpg", "found", "MACOSX"])
def test_other_names_are_not_skipped(name: str) -> None:
    assert folder_reason(name) is file_reason(name) is None


@pytest.mark.parametrize(
    "names",
    [
        {files.REPORT_JSON, files.PREDICTIONS},
        {check_files.REPORT, check_files.EXCLUDE, check_files.PAGE},
        {runs.RECIPE, runs.DATA, runs.SNAPSHOT},
        {compare.DISAGREEMENTS, f"{compare.CONFUSIONS}.png"},
        {f"{compare.CURVES}.png", f"{compare.CURVES}.svg"},
    ],
)
def test_what_lab_writes_today_is_known_as_its_own(names: set[str]) -> None:
    assert is_own_output("x", names)
    assert not is_own_output("x", {"report.json", "a.png", "data.csv"})


def test_sheets_of_data_preview_are_known_by_their_folder_and_numbers() -> None:
    assert is_own_output("preview", ["1-dog.png", "0-cat.png"])
    assert not is_own_output("preview", ["1-dog.png", "2-cat.png"])
    assert not is_own_output("preview", ["0-cat.png", "a.png"])
    assert not is_own_output("cats", ["0-cat.png"])
    assert not is_own_output("preview", [])


def test_a_listing_counts_each_file_that_it_skips(tmp_path: Path) -> None:
    for name in (
        *("a.png", "b/c.jfif", "b/d.heic", "b/no_suffix", "b/.hidden.png", "b/._c.jfif", "train.csv"),
        *("__MACOSX/b/._c.jfif", "out/report.json", "out/predictions.csv", "out/pictures/confusion.png", ".git/x/y"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    skipped = Skipped()
    assert list_images(tmp_path, skipped, ["train.csv"]) == ["a.png", "b/c.jfif"]
    assert {reason: dict(kinds) for reason, kinds in skipped.counts.items()} == {
        "hidden files": {".git": 1, ".hidden.png": 1},
        "helper files": {"__MACOSX": 1, "._*": 1},
        OTHER: {".heic": 1, "no suffix": 1},
        OWN: {"out": 3},
    }
    total = sum(sum(kinds.values()) for kinds in skipped.counts.values())
    assert total + 3 == count_files(str(tmp_path))


def test_a_folder_that_lab_wrote_is_listed_where_it_is_asked_for_itself(tmp_path: Path) -> None:
    for name in ("report.json", "predictions.csv", "confusion.png"):
        (tmp_path / name).touch()
    assert list_images(tmp_path) == ["confusion.png"]


def test_the_summary_is_one_line_with_a_count_for_each_reason() -> None:
    skipped = Skipped()
    assert skipped.summary() == ""
    for suffix in (".txt", ".md", ".pdf", ".xml", ".txt"):
        skipped.add(OTHER, suffix)
    skipped.add(OWN, "runs", 7)
    skipped.add(OWN, "nothing", 0)
    assert skipped.summary() == (
        "skipped: 7 files of lab's own output (runs); 5 other files (.txt, .md, .pdf and 1 more)"
    )
