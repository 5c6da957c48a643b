"""Lists of paths: what of a line is the path, and which image it names."""

import os
from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.tables.path_list import find_paths, split_paths


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        (b"a.png\r\n\r\n b.png\nc, d.png", ["a.png", " b.png", "c, d.png"]),
        (b"\xef\xbb\xbfa.png\n", ["a.png"]),
        ("\ufeffZürich.png\r\nb.png\r\n".encode("utf-16-le"), ["Zürich.png", "b.png"]),
        ("\ufeffa.png\nb.png".encode("utf-16-be"), ["a.png", "b.png"]),
        (b"a\n1.png\0b.png\r\0", ["a\n1.png", "b.png\r"]),
        (b"caf\xe9.png\n", [os.fsdecode(b"caf\xe9.png")]),
        (b"\n", []),
    ],
)
def test_only_the_line_end_and_the_byte_order_mark_are_taken_away(content: bytes, paths: list[str]) -> None:
    assert split_paths(content, "l.txt") == paths


def test_a_list_that_begins_as_utf_16_and_is_not_is_refused() -> None:
    with pytest.raises(DataError, match=r"l\.txt begins as UTF-16 and is not: truncated data; save it as UTF-8"):
        split_paths(b"\xff\xfea.p", "l.txt")


def test_a_path_is_taken_as_written_then_stripped_then_as_a_name_below_the_folder(tmp_path: Path) -> None:
    for name in (" a.png", "a.png", "b.png", "deep/er/c.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    outside = tmp_path.parent / "outside.png"
    outside.touch()
    lines = [" a.png", "a.png", "  b.png ", "c.png", "b", "deep\\er\\c.png", str(outside)]
    names, files = find_paths(tmp_path / "l.txt", lines)
    assert names == [" a.png", "a.png", "b.png", "c.png", "b", "deep\\er\\c.png", str(outside)]
    found = [" a.png", "a.png", "b.png", "deep/er/c.PNG", "b.png", "deep/er/c.PNG"]
    assert files == [*(str(tmp_path / name) for name in found), str(outside)]


def test_missing_paths_are_counted_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a.png").touch()
    with pytest.raises(DataError, match=r"names 2 images that are not below .*lists: x, y; put them there, or correct"):
        find_paths(tmp_path / "lists" / "l.txt", ["x", "y"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"below the working folder: give the list as lab predict - < lists/l\.txt"):
        find_paths(Path("lists/l.txt"), ["cells/a.png"])
