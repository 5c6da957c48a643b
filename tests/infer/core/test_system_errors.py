"""The system's errors name the path and the remedy, and for a path that is too long what the system takes."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infer.core.system_errors import system_error
from infer.core.temporary import temporary_folder


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space on its disk"),
        (errno.EACCES, "check its permissions"),
        (errno.EMFILE, "let the process open more files (ulimit -n)"),
        (errno.ENXIO, "check the path"),
    ],
)
def test_an_error_has_what_is_wrong_the_path_and_the_remedy(number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "a/b.csv")
    assert system_error(error) == f"{os.strerror(number)}: a/b.csv; {remedy}"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_an_error_in_the_folder_for_temporary_files_names_the_variable_that_moves_it(
    number: int, temporary: Path
) -> None:
    with temporary_folder() as folder:
        for path in (folder, folder / "a.onnx"):
            error = OSError(number, os.strerror(number), str(path))
            assert system_error(error).endswith(", or name another folder in TMPDIR")
    assert "TMPDIR" not in system_error(OSError(number, os.strerror(number), str(temporary / "a.onnx")))


def test_an_error_without_a_path_is_of_the_standard_output() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert system_error(error) == "No space left on device: the standard output; free some space on its disk"


@pytest.mark.skipif(os.name != "posix", reason="paths have other limits here")
@pytest.mark.parametrize(
    ("path", "sizes"),
    [
        ("/x" * 2500 + "/a.png", "has 5006 bytes, its longest name 5,"),
        ("ü" * 150 + ".png", "has 304 bytes, its longest name 304,"),
    ],
)
def test_a_path_that_is_too_long_is_shortened_and_its_sizes_are_given(path: str, sizes: str) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        Path(path).stat()
    text = system_error(caught.value)
    assert text.startswith(f"File name too long: {path[:60]}")
    assert sizes in text
    assert "this system takes up to 4095 and 255; use shorter names" in text
    assert len(text) < 400


@pytest.mark.skipif(os.name != "posix", reason="paths have other limits here")
@pytest.mark.parametrize("words", [["predict", "{}/a.png", "--model", "m.onnx"], ["data", "check", "{}"]])
def test_a_command_ends_with_one_line_where_a_path_is_too_long(
    words: list[str], lab: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "/".join(["x" * 250] * 20)
    ran = lab(*(word.format(folder) for word in words))
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith("error: File name too long: ")
    assert "this system takes up to 4095 and 255" in line
