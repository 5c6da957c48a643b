from pathlib import Path

import numpy as np
import pytest

from infer.dataset.copies import PIECE, find_copies
from infer.dataset.table import TRAIN, UNKNOWN, Table
from infer.model.card import ClassName


def table(root: Path, paths: list[str], groups: list[str] | None = None, labels: list[int] | None = None) -> Table:
    return Table(
        name="x",
        layout="made",
        root=root,
        classes=(ClassName("0", "healthy"), ClassName("1", "ill")),
        paths=tuple(paths),
        labels=np.array(labels or [0] * len(paths), dtype=np.int64),
        groups=tuple(groups or [""] * len(paths)),
        splits=(TRAIN,) * len(paths),
    )


def write(root: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        (root / name).write_bytes(content)


def test_files_of_the_same_bytes_and_repeated_paths_are_found(tmp_path: Path) -> None:
    write(tmp_path, a=b"one", b=b"two", c=b"one", d=b"longer", e=b"one")
    assert find_copies(table(tmp_path, ["a", "b", "c", "b", "d", "e"])).rows == ((0, 2, 5), (1, 3))


def test_a_file_under_another_name_that_is_listed_twice_is_one_image(tmp_path: Path) -> None:
    write(tmp_path, a=b"one", b=b"six")
    (tmp_path / "link").symlink_to("a")
    assert find_copies(table(tmp_path, ["link", "b", "a", "link"])).rows == ((0, 2, 3),)


@pytest.mark.parametrize("position", [0, PIECE + 5, 5 * PIECE, 10 * PIECE - 1])
def test_files_of_one_size_that_differ_anywhere_are_different(position: int, tmp_path: Path) -> None:
    content = bytes(10 * PIECE)
    other = content[:position] + b"\1" + content[position + 1 :]
    write(tmp_path, a=content, b=other, c=content)
    assert find_copies(table(tmp_path, ["a", "b", "c"])).rows == ((0, 2),)


def test_only_files_of_one_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infer.dataset import copies

    write(tmp_path, a=b"1", b=b"22", c=b"333", d=b"444")
    read: list[str] = []
    monkeypatch.setattr(copies, "_digest_of_pieces", lambda _, path: read.append(path))
    assert find_copies(table(tmp_path, ["a", "b", "c", "d"])).rows == ()
    assert read == ["c", "d"]


def test_empty_files_and_those_that_cannot_be_read_are_no_copies(tmp_path: Path) -> None:
    write(tmp_path, a=b"", b=b"")
    assert find_copies(table(tmp_path, ["a", "b", "gone", "away"])).rows == ()
    assert find_copies(table(tmp_path, ["gone", "gone"])).rows == ((0, 1),)


def test_without_copies_the_groups_are_the_tables_and_nothing_is_noted(tmp_path: Path) -> None:
    copies = find_copies(table(tmp_path, ["a", "b", "c", "d"], ["p", "", "p", ""]))
    assert copies.groups() == ("p", "", "p", "")
    assert copies.notes() == ()


def test_copies_join_all_images_of_their_patients(tmp_path: Path) -> None:
    write(tmp_path, a=b"one", b=b"two", c=b"one", d=b"six", e=b"two", f=b"ten", g=b"a", h=b"a")
    groups = find_copies(table(tmp_path, list("abcdefgh"), ["p", "q", "q", "r", "", "", "", ""])).groups()
    assert [groups.index(group) for group in groups] == [0, 0, 0, 3, 0, 5, 6, 6]
    assert groups[5] == ""


def test_chains_of_patients_that_share_images_are_one_group(tmp_path: Path) -> None:
    write(tmp_path, a=b"1", b=b"1", c=b"22", d=b"22", e=b"333", f=b"333")
    groups = find_copies(table(tmp_path, list("acebdf"), ["p", "r", "t", "r", "t", "p"])).groups()
    assert len(set(groups)) == 1


def test_copies_are_named_and_those_with_two_labels_with_both(tmp_path: Path) -> None:
    write(tmp_path, a=b"one", b=b"one", c=b"six", d=b"six", e=b"ten")
    copies = find_copies(table(tmp_path, list("abcdee"), labels=[0, 1, 0, UNKNOWN, 1, 1]))
    note, warning = copies.notes()
    assert note.endswith("3 images are listed twice or have exact copies, which stay in one split: "
                         "a and b, c and d, e 2 times")  # fmt: skip
    assert warning.startswith("warning: 1 images have copies with another label: a (healthy) and b (ill)")
