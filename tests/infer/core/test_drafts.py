"""A draft is invisible or hidden until it is published; the next writer deletes what a killed process left."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import infer.core.drafts
from infer.core.drafts import ABANDONED, SLOTS, Draft, delete_abandoned, draft_folder, hidden_names

ROOT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
import infer.core.drafts as drafts
{setup}
target = Path(sys.argv[1])
{work}
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(target: Path, work: str, setup: str = "") -> None:
    """Write in another process, which is killed on the way."""
    script = KILLED.format(setup=setup, work=work)
    ran = subprocess.run([sys.executable, "-c", script, target], cwd=ROOT, check=False)
    assert ran.returncode == -9


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["unnamed", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of drafts, as systems with and without unnamed files have them."""
    if request.param == "named":
        monkeypatch.setattr(infer.core.drafts, "_open_unnamed", lambda folder: None)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no unnamed files")
    return str(request.param)


def written(path: Path, content: str) -> Draft:
    draft = Draft(path)
    draft.path.write_text(content)
    return draft


def test_a_published_draft_is_the_file_also_in_place_of_another(kind: str, tmp_path: Path) -> None:
    for content in ("first", "second"):
        draft = written(tmp_path / "a.csv", content)
        draft.publish()
        draft.close()
        assert (tmp_path / "a.csv").read_text() == content
        assert names_in(tmp_path) == ["a.csv"]


def test_a_draft_that_is_closed_leaves_nothing_even_where_it_had_its_hidden_name(kind: str, tmp_path: Path) -> None:
    draft = written(tmp_path / "a.csv", "x")
    assert names_in(tmp_path) == ([] if kind == "unnamed" else [next(hidden_names(tmp_path / "a.csv")).name])
    assert draft.named().parent == tmp_path
    assert len(names_in(tmp_path)) == 1
    draft.close()
    assert names_in(tmp_path) == []


def test_a_draft_whose_content_refers_to_files_beside_it_is_in_their_folder(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "model.onnx", beside=True)
    assert (draft.path.parent, draft.path.suffix) == (tmp_path, ".onnx")
    draft.close()
    assert names_in(tmp_path) == []


def test_publishing_as_new_replaces_nothing(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    draft = written(tmp_path / "a.csv", "new")
    with pytest.raises(FileExistsError):
        draft.publish_new()
    assert (tmp_path / "a.csv").read_text() == "old"
    (tmp_path / "a.csv").unlink()
    draft.publish_new()
    draft.close()
    assert (tmp_path / "a.csv").read_text() == "new"
    assert names_in(tmp_path) == ["a.csv"]


def test_two_drafts_of_one_file_have_names_of_their_own(kind: str, tmp_path: Path) -> None:
    drafts = [written(tmp_path / "a.csv", str(number)) for number in range(SLOTS + 2)]
    names = [draft.named() for draft in drafts]
    assert len(set(names)) == len(names)
    assert [name.read_text() for name in names] == [str(number) for number in range(SLOTS + 2)]
    for draft in drafts:
        draft.close()
    assert names_in(tmp_path) == []


def test_a_killed_writer_leaves_nothing_where_there_are_unnamed_files(tmp_path: Path) -> None:
    killed(tmp_path / "a.csv", "draft = drafts.Draft(target)\ndraft.path.write_text('half')")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("target", ["a.csv", "model.onnx"])
def test_what_a_killed_writer_left_is_deleted_by_the_next_writer_of_that_file(target: str, tmp_path: Path) -> None:
    killed(
        tmp_path / target,
        "draft = drafts.Draft(target)\ndraft.path.write_text('half')",
        "drafts._open_unnamed = lambda folder: None",
    )
    assert len(names_in(tmp_path)) == 1
    other = written(tmp_path / "other.csv", "x")
    other.publish()
    assert len(names_in(tmp_path)) == 2
    draft = written(tmp_path / target, "whole")
    draft.publish()
    assert names_in(tmp_path) == sorted([target, "other.csv"])


def test_the_draft_of_a_living_process_is_not_deleted(kind: str, tmp_path: Path) -> None:
    draft = written(tmp_path / "a.csv", "x")
    name = draft.named()
    delete_abandoned(tmp_path / "a.csv")
    assert name.read_text() == "x"


def test_without_locks_only_old_drafts_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.core.drafts, "try_lock", lambda *_, **__: None)
    new, old, *_ = (name for name, _ in zip(hidden_names(tmp_path / "a"), range(2), strict=False))
    for name, age in ((new, 60), (old, ABANDONED + 60)):
        name.touch()
        os.utime(name, (name.stat().st_mtime - age,) * 2)
    delete_abandoned(tmp_path / "a")
    assert names_in(tmp_path) == [new.name]


def test_a_draft_folder_is_deleted_unless_it_was_renamed(tmp_path: Path) -> None:
    with draft_folder(tmp_path / "run") as folder:
        (folder / "a").write_text("x")
    assert names_in(tmp_path) == []
    with draft_folder(tmp_path / "run") as folder:
        (folder / "a").write_text("x")
        folder.rename(tmp_path / "run")
    assert (tmp_path / "run" / "a").read_text() == "x"
    assert names_in(tmp_path) == ["run"]


def test_a_folder_that_has_taken_the_hidden_name_of_a_renamed_one_is_kept(tmp_path: Path) -> None:
    with draft_folder(tmp_path / "run") as first:
        first.rename(tmp_path / "run")
        other = draft_folder(tmp_path / "run")
        second = other.__enter__()
        assert second == first
    assert second.is_dir()
    other.__exit__(None, None, None)
    assert names_in(tmp_path) == ["run"]


def test_the_folder_that_a_killed_process_left_is_deleted_and_a_living_ones_is_not(tmp_path: Path) -> None:
    work = "context = drafts.draft_folder(target)\n(context.__enter__() / 'a').write_text('half')"
    killed(tmp_path / "run", work)
    assert len(names_in(tmp_path)) == 1
    with draft_folder(tmp_path / "run") as first, draft_folder(tmp_path / "run") as second:
        assert first != second
        assert names_in(tmp_path) == sorted([first.name, second.name])
        assert names_in(first) == []
    assert names_in(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_pipes_and_links_at_hidden_names_are_not_waited_for_or_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("of another")
    pipe, link, *_ = (name for name, _ in zip(hidden_names(tmp_path / "run"), range(2), strict=False))
    os.mkfifo(pipe)
    link.symlink_to("kept")
    with draft_folder(tmp_path / "run") as folder:
        assert folder.is_dir()
    assert names_in(tmp_path) == sorted([link.name, "kept"])
    assert (tmp_path / "kept").read_text() == "of another"


@pytest.mark.parametrize("name", ["a" * 250, "a." + "b" * 250, "ü" * 100 + ".csv"])
def test_names_as_long_as_the_system_allows_can_be_written(
    name: str, kind: str, tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    write(tmp_path / name)
    assert names_in(tmp_path) == [name]


@pytest.fixture
def write() -> Callable[[Path], None]:
    def publish(path: Path) -> None:
        draft = written(path, "x")
        draft.publish()
        draft.close()

    return publish
