"""The files of a set appear together, or none of them, wherever it is interrupted."""

import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import infer.core.drafts
from infer.core.drafts import hidden_names
from infer.core.errors import OutputError
from infer.core.file_sets import LARGEST_JOURNAL, file_set, finish_interrupted

NAMES = ("main.json", "a.csv", "b.csv", "gone.csv")


@pytest.fixture(params=["unnamed", "named"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of drafts, as systems with and without unnamed files have them."""
    if request.param == "named":
        monkeypatch.setattr(infer.core.drafts, "_open_unnamed", lambda folder: None)
    return str(request.param)


def write(folder: Path, content: str) -> None:
    with file_set(folder / "main.json") as files:
        for name in NAMES[:3]:
            files.write_text(folder / name, content)
        files.remove(folder / "gone.csv")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


NEW = dict.fromkeys(NAMES[:3], "new")
OLD = dict.fromkeys(NAMES, "old")
CHANGES = {"unnamed": 9, "named": 7}
"""Changes of names that `write` makes: three drafts and the journal named, four moves, the journal gone; named drafts
have their names, and the journal's is deleted."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    for name, content in OLD.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_all_files_appear_at_the_end_and_the_removed_one_goes(old: Path) -> None:
    with file_set(old / "main.json") as files:
        files.write_text(old / "main.json", "new")
        files.draft(old / "a.csv").write_text("new")
        files.write_text(old / "b.csv", "new")
        files.remove(old / "gone.csv")
        files.remove(old / "absent.csv")
        assert {name: (old / name).read_text() for name in NAMES} == OLD
    assert contents(old) == NEW


def test_a_failure_before_the_end_changes_nothing(old: Path) -> None:
    def fail() -> None:
        with file_set(old / "main.json") as files:
            files.write_text(old / "a.csv", "new")
            files.remove(old / "gone.csv")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert contents(old) == OLD


def before_change(number: int, act: Callable[[], None], names: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
    """Call `act` before the change of this number that `os` makes to the names of files, counted from 0."""
    count = itertools.count()

    def counted(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: object, **options: object) -> None:
            if next(count) == number:
                act()
            change(*arguments, **options)

        return changed

    for name in names:
        patch.setattr(os, name, counted(getattr(os, name)))


def killed_before(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Write in a child process that is killed before a change; whether it came so far."""
    child = os.fork()
    if not child:
        before_change(number, lambda: os.kill(os.getpid(), signal.SIGKILL), ("link", "replace", "unlink"), monkeypatch)
        write(folder, "new")
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("block", range(3))
def test_after_a_kill_between_any_two_changes_all_files_are_old_or_all_are_new(
    block: int, kind: str, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(block * 5, block * 5 + 5):
        killed = killed_before(number, old, monkeypatch)
        assert killed == (number < CHANGES[kind])
        finish_interrupted(old / "main.json", NAMES)
        visible = {name: text for name, text in contents(old).items() if not name.startswith(".")}
        assert visible in (OLD, NEW)
        write(old, "newer")
        assert contents(old) == dict.fromkeys(NEW, "newer")
        for name, content in OLD.items():
            (old / name).write_text(content)


@pytest.mark.parametrize("number", range(9))
def test_a_single_failure_of_any_change_leaves_all_files_old_or_all_new_and_no_draft(
    number: int, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        before_change(number, fail, ("link", "replace"), patch)
        try:
            write(old, "new")
        except OutputError as error:
            assert "cannot write" in str(error)  # noqa: PT017  # where a second attempt succeeds, there is no error
    assert contents(old) in (OLD, NEW)


def test_a_disk_that_fails_for_good_halfway_is_told_and_the_rest_is_carried_out_later(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, moved = os.replace, []

    def fail_at_second(source: Path, target: Path) -> None:
        if moved:
            raise OSError(5, "Input/output error")
        moved.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_second)
        with pytest.raises(OutputError, match="Input/output error"):
            write(old, "new")
    finish_interrupted(old / "main.json", NAMES)
    assert contents(old) == NEW


def test_a_set_is_whole_in_each_of_its_folders_and_one_of_other_files_may_follow(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = old / "report"

    def write_both(content: str, last: str) -> None:
        with file_set(old / "main.json") as files:
            for path in (old / "main.json", report / "first.json", old / "a.csv", report / last):
                files.write_text(path, content)

    write_both("old", "b.png")
    seen = set()
    for number in range(30):
        child = os.fork()
        if not child:
            act = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
            before_change(number, act, ("link", "replace", "unlink"), monkeypatch)
            write_both("new", "b.png")
            os._exit(0)
        os.waitpid(child, 0)
        finish_interrupted(old / "main.json", NAMES)
        finish_interrupted(report / "first.json", ("first.json", "b.png"))
        pairs = [(old / "main.json", old / "a.csv"), (report / "first.json", report / "b.png")]
        found = [[path.read_text() for path in pair] for pair in pairs]
        assert all(first == second for first, second in found)
        seen.add((found[0][0], found[1][0]))
        write_both("old", "c.png")
        write_both("old", "b.png")
    assert {("old", "old"), ("new", "new")} <= seen


def test_a_set_of_other_files_finishes_the_moves_of_a_killed_one_and_deletes_nothing_for_it(old: Path) -> None:
    journal = next(hidden_names(old / "main.json")).with_suffix(".journal")
    draft = next(hidden_names(old / "other.csv"))
    draft.write_text("half moved")
    journal.write_text(json.dumps([[draft.name, "other.csv"], ["gone.csv", ""]]))
    with file_set(old / "main.json") as files:
        files.write_text(old / "main.json", "new")
        files.write_text(old / "a.csv", "new")
    assert contents(old) == {**OLD, "main.json": "new", "a.csv": "new", "other.csv": "half moved"}


@pytest.mark.parametrize(
    "moves",
    [
        [["../a", "main.json"]],
        [["a.csv", "main.json"]],
        [[".lab-00000000-0.csv", "a.csv"]],
        [["notes.txt", ""]],
        [[".lab-x", "../../main.json"]],
    ],
)
def test_a_journal_that_lab_did_not_write_is_not_followed(moves: list[list[str]], old: Path) -> None:
    (old / "notes.txt").write_text("mine")
    journal = next(hidden_names(old / "main.json")).with_suffix(".journal")
    journal.write_text(json.dumps(moves))
    with pytest.raises(OutputError, match="names files that lab did not write there; delete it"):
        finish_interrupted(old / "main.json", NAMES)
    journal.unlink()
    assert contents(old) == {**OLD, "notes.txt": "mine"}


@pytest.mark.parametrize("names", [NAMES, None])
@pytest.mark.parametrize(
    "content",
    [
        b"[1",
        b"",
        b"\xff",
        b'[["a", 3, 4]]',
        b"3",
        b"[" * 9999,
        b'[["a", "\\ud800"]]',
        b" " * 2 * LARGEST_JOURNAL + b"[]",
    ],
)
def test_a_damaged_journal_is_refused(content: bytes, names: tuple[str, ...] | None, old: Path) -> None:
    journal = next(hidden_names(old / "main.json")).with_suffix(".journal")
    journal.write_bytes(content)
    with pytest.raises(OutputError, match=r"is damaged|names files that lab did not write there"):
        finish_interrupted(old / "main.json", names)
    journal.unlink()
    assert contents(old) == OLD


def test_a_name_that_no_file_can_have_is_not_moved_to(old: Path) -> None:
    draft = next(hidden_names(Path("a\0b")))
    journal = next(hidden_names(old / "main.json")).with_suffix(".journal")
    journal.write_text(json.dumps([[draft.name, "a\0b"]]))
    with pytest.raises(OutputError, match="names files that lab did not write there"):
        finish_interrupted(old / "main.json", None)


@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_a_journal_that_is_no_file_is_neither_read_nor_waited_for(make: Callable[[Path], None], old: Path) -> None:
    journal = next(hidden_names(old / "main.json")).with_suffix(".journal")
    make(journal)
    with pytest.raises(OutputError, match="is not a file that lab wrote; delete it"):
        finish_interrupted(old / "main.json", NAMES)


def test_without_a_journal_there_is_nothing_to_finish(tmp_path: Path) -> None:
    finish_interrupted(tmp_path / "absent" / "main.json", NAMES)
    assert list(tmp_path.iterdir()) == []


def test_files_of_several_folders_and_a_uri_are_one_set(tmp_path: Path) -> None:
    with file_set(tmp_path / "main.csv") as files:
        files.write_text(Path(f"file://{tmp_path}/far/b.csv"), "b")
        files.write_text(tmp_path / "report" / "a.json", "a")
        files.write_text(tmp_path / "main.csv", "main")
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"far/b.csv": "b", "report/a.json": "a", "main.csv": "main"}
    with file_set(tmp_path / "main.csv") as files:
        files.write_text(tmp_path / "main.csv", "new")
        files.remove(Path(f"file://{tmp_path}/far/b.csv"))
        files.remove(tmp_path / "report" / "a.json")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["main.csv"]
