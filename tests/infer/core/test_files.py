import errno
import os
from pathlib import Path

import pytest

from infer.core.errors import ConfigError, OutputError
from infer.core.files import (
    atomic_folder,
    atomic_write,
    cache_folder,
    expand_home,
    make_folder,
    require_new,
    write_bytes,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_has_the_content_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.csv"
    write_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert names_in(path.parent) == ["a.csv"]


@pytest.mark.parametrize("stop", [ValueError("no"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, stop: BaseException) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as draft:
            draft.write_text("half")
            raise stop

    with pytest.raises(type(stop)):
        write_half()
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.csv"]


def test_until_the_end_readers_see_the_old_file_and_a_draft_with_a_name_is_a_hidden_neighbour_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infer.core.drafts._open_unnamed", lambda folder: None)
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with atomic_write(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
        assert draft.parent == path.parent
        assert draft.suffix == ".onnx"
        assert draft.name.startswith(".")
    assert path.read_text() == "new"


def test_a_reader_who_has_the_old_file_open_keeps_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_two_writers_of_one_file_do_not_share_a_draft(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as first, atomic_write(tmp_path / "a") as second:
        first.write_text("one")
        second.write_text("two")
    assert (tmp_path / "a").read_text() == "one"


def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    remedy = r"disk is full and .*a\.csv was not written; free some space or .*--out"
    with pytest.raises(OutputError, match=remedy), atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names_in(tmp_path) == []


def test_a_failed_write_into_the_cache_names_the_caches_variable(cache: Path) -> None:
    (cache / "blocked").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="LAB_CACHE"):
        write_text(cache / "blocked" / "a", "")


def test_a_file_cannot_take_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*here: it is a folder or a device; give a file.s name"):
        write_text(tmp_path / "here", "")
    assert names_in(tmp_path) == ["here"]


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_path_without_a_file_name_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="cannot write"):
        write_text(Path(name), "")


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*file.*--out"):
        make_folder(tmp_path / "file" / "below")
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()


def test_the_folder_of_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("LAB_CACHE", "~/mine")
    assert cache_folder() == Path("/home/someone/mine")
    monkeypatch.delenv("LAB_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == Path("/xdg/lab")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path("/home/someone/.cache/lab")


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of a user whose home is not known."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "XDG_CACHE_HOME", "LAB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_without_a_home_the_cache_is_a_private_folder_among_the_temporary_files(no_home: Path) -> None:
    folder = cache_folder()
    assert folder == no_home / f"lab-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == folder


@pytest.mark.parametrize("home", ["file", "file/below"])
def test_a_home_in_which_no_cache_can_be_made_is_passed_over(
    home: str, no_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_home / "file").touch()
    monkeypatch.setenv("HOME", str(no_home / home))
    assert cache_folder() == no_home / f"lab-{os.getuid()}"


def test_a_home_that_may_not_be_written_is_passed_over(no_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cache_folder() == no_home / f"lab-{os.getuid()}"


def test_a_cache_that_other_users_can_write_is_refused(no_home: Path) -> None:
    folder = no_home / f"lab-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(OutputError, match=r"is not a folder of this user alone; set LAB_CACHE"):
        cache_folder()
    folder.rmdir()
    (no_home / "file").touch()
    (no_home / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")
    with pytest.raises(OutputError, match=r"is not a folder of this user alone; set LAB_CACHE"):
        cache_folder()
    with pytest.raises(OutputError, match=r"cannot write .*choose another path with --out"):
        make_folder(no_home / "file" / "below")


def test_a_tilde_without_a_home_is_an_error_that_names_the_path(no_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert expand_home("cells") == Path("cells")
    with pytest.raises(ConfigError, match=r"~/cells: there is no home folder that ~ could mean here; write the whole"):
        expand_home("~/cells")
    monkeypatch.setenv("HOME", "/home/someone")
    assert expand_home("~/cells") == Path("/home/someone/cells")


def test_a_link_is_written_through_and_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_text(tmp_path / "link.csv", "new")
    assert (tmp_path / "real.csv").read_text() == "new"
    assert (tmp_path / "link.csv").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="it is a folder or a device"):
        write_text(tmp_path / "pipe", "new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_written_folder_appears_whole_also_in_place_of_an_empty_one(tmp_path: Path) -> None:
    for path in (tmp_path / "new" / "a", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with atomic_folder(path, "--web") as draft:
            (draft / "sub").mkdir()
            (draft / "sub" / "file").write_text("content")
            assert not path.exists() or not names_in(path)
        assert (path / "sub" / "file").read_text() == "content"
    assert names_in(tmp_path) == ["empty", "new"]


@pytest.mark.parametrize("stop", [ValueError("no"), KeyboardInterrupt()])
def test_of_a_failed_folder_nothing_is_left(tmp_path: Path, stop: BaseException) -> None:
    def write_half() -> None:
        with atomic_folder(tmp_path / "a", "--web") as draft:
            (draft / "file").write_text("half")
            raise stop

    with pytest.raises(type(stop)):
        write_half()
    assert names_in(tmp_path) == []


def test_a_folder_that_others_fill_meanwhile_is_theirs(tmp_path: Path) -> None:
    def write_late() -> None:
        with atomic_folder(tmp_path / "a", "--web"):
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "theirs").touch()

    with pytest.raises(OutputError, match=r"cannot write .*; choose another path with --web"):
        write_late()
    assert names_in(tmp_path / "a") == ["theirs"]
    assert names_in(tmp_path) == ["a"]


def test_a_folder_with_content_is_refused_before_any_work(tmp_path: Path) -> None:
    require_new(tmp_path / "none", "--web")
    require_new(tmp_path, "--web")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(ConfigError, match=f"--web: {path} exists already; delete it, or name a new folder"):
            require_new(path, "--web")
    with pytest.raises(ConfigError, match="--web must be a folder of this machine"):
        require_new(Path("s3://bucket/a"), "--web")
