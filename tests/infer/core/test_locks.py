"""Locks belong to an open file, and end with it."""

import os
from pathlib import Path

import pytest

from infer.core.locks import is_at, try_lock


@pytest.fixture
def two(tmp_path: Path) -> tuple[int, int]:
    """Two descriptors of one file."""
    return os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT), os.open(tmp_path / "a", os.O_RDWR)


def test_a_lock_excludes_others_until_its_file_is_closed(two: tuple[int, int]) -> None:
    first, second = two
    assert try_lock(first) is True
    assert try_lock(second) is False
    os.close(first)
    assert try_lock(second) is True


def test_shared_locks_exclude_only_those_that_are_not_shared(two: tuple[int, int]) -> None:
    first, second = two
    assert try_lock(first, shared=True) is True
    assert try_lock(second, shared=True) is True
    assert try_lock(second) is False


def test_a_file_system_without_locks_is_told_from_a_lock(two: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    assert try_lock(two[0]) is None


def test_an_open_file_that_was_renamed_or_replaced_is_no_longer_at_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    assert is_at(descriptor, path)
    path.rename(tmp_path / "b")
    assert not is_at(descriptor, path)
    path.touch()
    assert not is_at(descriptor, path)
    assert is_at(descriptor, tmp_path / "b")
