"""A command's temporary files are of its user alone, and go with the next command where it was killed."""

import os
import stat
from pathlib import Path

from infer.core.temporary import is_temporary, temporary_folder


def test_a_temporary_folder_is_of_this_user_alone_and_the_next_one_deletes_what_a_killed_process_left(
    temporary: Path,
) -> None:
    assert len(list(temporary.iterdir())) == 1
    with temporary_folder() as first, temporary_folder() as second:
        assert first != second
        assert {path.name for path in temporary.iterdir()} == {first.name, second.name}
        assert not any(first.iterdir())
        if os.name == "posix":
            assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert not any(temporary.iterdir())


def test_what_is_in_such_a_folder_is_known_by_its_path(temporary: Path) -> None:
    with temporary_folder() as folder:
        assert is_temporary(folder)
        assert is_temporary(str(folder / "a" / "b.onnx"))
    others = (temporary, temporary / "a.onnx", temporary / ".lab-00000000-0", temporary.parent / folder.name, "a.csv")
    assert not any(map(is_temporary, others))
