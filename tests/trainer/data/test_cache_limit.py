import os
from pathlib import Path

import numpy as np
import pytest

from infer.core.errors import ConfigError, OutputError
from trainer.data.cache_limit import FRESH, cache_limit, lock_shared, make_room, require_within_limit, usage_text

MB = 10**6


def place(folder: Path, name: str, age: float = 0.0, size: int = MB) -> Path:
    """A cache of a size with its notes, last used `age` seconds before now."""
    path = folder / f"{name}.npy"
    path.write_bytes(bytes(size))
    path.with_suffix(".json").write_text("{}")
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.npy"))


def test_those_unused_for_longest_go_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "0.004")
    for name, age in (("new", 10), ("oldest", 4000), ("old", 3000)):
        place(tmp_path, name, age)
    make_room(tmp_path, MB)
    assert names(tmp_path) == ["new", "old", "oldest"]
    make_room(tmp_path, 2 * MB)
    assert names(tmp_path) == ["new", "old"]
    assert not (tmp_path / "oldest.json").exists()
    make_room(tmp_path, 4 * MB)
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_a_cache_in_use_is_never_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    pytest.importorskip("fcntl")
    monkeypatch.setenv("LAB_CACHE_GB", "0.002")
    held, other = place(tmp_path, "held", 5000), place(tmp_path, "other", 4000)
    file = held.open("rb")
    lock_shared(file)
    mapped = np.memmap(file, np.uint8, "r") if how == "mapped" else None
    if how == "mapped":
        file.close()
    make_room(tmp_path, MB)
    assert held.exists()
    assert not other.exists()
    with pytest.raises(OutputError, match=r"2 MB, those in use 1 MB, .* LAB_CACHE_GB to 1 or more"):
        make_room(tmp_path, 2 * MB)
    assert held.exists()
    del mapped
    file.close()
    make_room(tmp_path, 2 * MB)
    assert not held.exists()


def test_what_a_killed_program_left_unfinished_goes_and_a_running_ones_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    dead, alive = place(tmp_path, ".dead"), place(tmp_path, ".alive")
    just_begun = place(tmp_path, ".begun", size=0)
    long_begun = place(tmp_path, ".long", age=2 * FRESH, size=0)
    with alive.open("r+b") as file:
        lock_shared(file)
        make_room(tmp_path, MB)
        assert [path.exists() for path in (dead, alive, just_begun, long_begun)] == [False, True, True, False]


def test_more_than_the_bound_is_refused_with_the_size_that_is_needed(tmp_path: Path) -> None:
    path = place(tmp_path, "finished", 5000)
    needed = "60 GB, and the cache is limited to 50 GB; set LAB_CACHE_GB to 60"
    with pytest.raises(OutputError, match=needed):
        make_room(tmp_path, 60 * 10**9)
    assert not path.exists() or path.stat().st_size == MB


def test_a_disk_without_room_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "1e12")
    with pytest.raises(OutputError, match=r"take 1000000000 GB, and .* left; .* set LAB_CACHE to a folder with room"):
        make_room(tmp_path, 10**18)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fifty"])
def test_a_bound_that_is_no_number_above_zero_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", text)
    with pytest.raises(ConfigError, match=f"LAB_CACHE_GB must be a number of GB above 0, got '{text}'"):
        cache_limit()


def test_the_bound_is_50_gb_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_CACHE_GB", raising=False)
    assert cache_limit() == 50 * 10**9
    monkeypatch.setenv("LAB_CACHE_GB", "0.5")
    assert cache_limit() == 5 * 10**8


def test_the_size_of_the_cache_is_shown_with_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "50")
    place(tmp_path, "one", size=3 * MB)
    place(tmp_path, ".draft", size=2 * MB)
    assert usage_text(tmp_path) == f"5 MB of at most 50 GB in {tmp_path}"


def test_what_fits_into_the_bound_is_taken_and_what_does_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "2")
    require_within_limit(2 * 10**9)
    with pytest.raises(OutputError, match=r"take 2\.1 GB, and the cache is limited to 2 GB; set LAB_CACHE_GB to 3"):
        require_within_limit(2_100_000_000)
    monkeypatch.setenv("LAB_CACHE_GB", "0.000001")
    with pytest.raises(OutputError, match=r"take 2 kB, and the cache is limited to 1 kB; set LAB_CACHE_GB to 1"):
        require_within_limit(2000)


def test_what_another_process_is_decoding_counts_although_it_cannot_be_seen_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE_GB", "0.003")
    place(tmp_path, "old", 4000)
    make_room(tmp_path, 2 * MB)
    assert names(tmp_path) == ["old"]
    monkeypatch.setattr("trainer.data.cache_limit.reserved", lambda folder: MB if folder == tmp_path else 0)
    make_room(tmp_path, 2 * MB)
    assert names(tmp_path) == []
    with pytest.raises(OutputError, match="those in use"):
        make_room(tmp_path, 3 * MB)
