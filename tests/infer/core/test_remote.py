"""URIs as inputs and outputs, tested with `file://`, which takes the same path as any other."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import infer.core.remote
from infer.core.errors import DataError, MissingExtraError, OutputError
from infer.core.files import remove, write_text
from infer.core.remote import Remote, list_remote, uri_of
from infer.images.preprocess import PixelSpec, read_window
from infer.tables.inputs import read_inputs

SPEC = PixelSpec.default(16)


@pytest.mark.parametrize("uri", ["s3://bucket/a b/c.png", "gs://bucket/x", "abfss://c@a/x", "file:///tmp/x"])
def test_a_uri_survives_being_a_path(uri: str) -> None:
    assert uri_of(Path(uri)) == uri


@pytest.mark.parametrize("path", ["a/b.png", "/a/b.png", "C:/a/b.png", "a:b", "-", ".", "x/s3:/y"])
def test_a_path_is_no_uri(path: str) -> None:
    assert uri_of(Path(path)) is None


def test_a_remote_folder_gives_the_names_and_pixels_of_a_local_one(
    tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for name in ("img10.png", "img9.jpg", "sub/a.png", ".hidden.png", "sub/.h/x.png"):
        save_image(tmp_path / name, seed=len(name))
    (tmp_path / "notes.txt").write_text("no image")
    there, here = read_inputs(Path(f"file://{tmp_path}"), ()), read_inputs(tmp_path, ())
    assert there.names == here.names == ["img9.jpg", "img10.png", "sub/a.png"]
    for far, near in zip(there.files, here.files, strict=True):
        assert isinstance(far, Remote)
        assert np.array_equal(read_window(far, SPEC), read_window(near, SPEC))


def test_one_remote_image_is_an_input(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    save_image(tmp_path / "a.png")
    inputs = read_inputs(Path(f"file://{tmp_path}/a.png"), ())
    assert (inputs.names, [str(file) for file in inputs.files]) == (["a.png"], [f"file://{tmp_path}/a.png"])


@pytest.mark.parametrize(
    ("uri", "words"),
    [("file:///not/there", "does not exist"), ("nonsense://a/b", "cannot open nonsense://a/b")],
)
def test_an_address_that_does_not_exist_is_a_one_line_error(uri: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        list_remote(uri)
    assert "\n" not in str(caught.value)


def test_a_remote_file_appears_with_its_folders_and_can_be_removed(tmp_path: Path) -> None:
    write_text(Path(f"file://{tmp_path}/new/a.txt"), "hello")
    assert (tmp_path / "new" / "a.txt").read_text() == "hello"
    remove(Path(f"file://{tmp_path}/new/a.txt"))
    remove(Path(f"file://{tmp_path}/new/a.txt"))
    assert os.listdir(tmp_path / "new") == []


def test_a_failed_remote_write_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write file://"):
        write_text(Path(f"file://{tmp_path}/file/a.txt"), "hello")


def test_without_pyarrow_the_error_gives_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    infer.core.remote._open_system.cache_clear()
    with pytest.raises(MissingExtraError, match=r"needs pyarrow.*\[parquet\]"):
        Remote("s3://bucket/a", "bucket/a/b.png").open()


def test_a_remote_file_has_the_time_of_its_last_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    os.utime(tmp_path / "a", (5, 1234.5))
    assert Remote(f"file://{tmp_path}", str(tmp_path / "a")).changed() == 1234.5


def test_any_name_of_a_remote_folder_is_read_as_that_file(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    names = ["a b.png", "a%20b.png", "a[1].png", "ü.png", "a#1.png", "q?b.png"]
    folder = tmp_path / "w [1]"
    for seed, name in enumerate(names):
        save_image(folder / name, seed=seed)
    inputs = read_inputs(Path(f"file://{folder}"), ())
    assert sorted(inputs.names) == sorted(names)
    for name, file in zip(inputs.names, inputs.files, strict=True):
        assert np.array_equal(read_window(file, SPEC), read_window(str(folder / name), SPEC)), name
        assert str(file) == f"file://{folder}/{name}"


def test_a_table_by_uri_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Path\n")
    with pytest.raises(DataError, match="by URI lab reads folders and single images"):
        read_inputs(Path(f"file://{tmp_path}/a.csv"), ())
