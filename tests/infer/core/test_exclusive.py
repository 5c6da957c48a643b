"""Two processes do not write the same outputs, and a killed one keeps no other waiting."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infer.core.errors import OutputError
from infer.core.exclusive import exclusive, one_at_a_time, reserved

ROOT = Path(__file__).parents[3]
HOLDS = """
import sys, time
from pathlib import Path
from infer.core.exclusive import exclusive, one_at_a_time
with {lock}:
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def holder(lock: str, path: Path) -> "subprocess.Popen[bytes]":
    """Another process that holds a lock until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS.format(lock=lock), path], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_the_second_process_is_refused_with_the_first_ones_number_until_that_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    first = holder("exclusive(Path(sys.argv[1]))", out)
    refusal = rf"another lab \(process {first.pid}\) is writing .*s\.csv; wait for it, or give another --out"
    with pytest.raises(OutputError, match=refusal), exclusive(out):
        pass
    (tmp_path / "link.csv").symlink_to(out)
    with pytest.raises(OutputError, match="wait for it, or start a new run"):
        exclusive(tmp_path / "link.csv", remedy="start a new run").__enter__()
    with exclusive(tmp_path / "other.csv"):
        pass
    kill(first)
    with exclusive(out):
        pass


def test_nothing_is_left_of_a_lock_not_even_of_a_killed_process_after_the_next_lock(
    tmp_path: Path, own_cache: Path
) -> None:
    with exclusive(tmp_path / "a", tmp_path / "b"):
        assert len(list((own_cache / "locks").iterdir())) == 2
    assert not (own_cache / "locks").exists()
    kill(holder("exclusive(Path(sys.argv[1]))", tmp_path / "c"))
    assert len(list((own_cache / "locks").iterdir())) == 1
    with exclusive(tmp_path / "a"):
        assert len(list((own_cache / "locks").iterdir())) == 1
    assert not (own_cache / "locks").exists()


def test_one_path_named_twice_is_one_lock_and_a_refusal_gives_up_the_others(tmp_path: Path) -> None:
    with exclusive(tmp_path / "a", tmp_path / "a"):
        with pytest.raises(OutputError, match="is writing"), exclusive(tmp_path / "b", tmp_path / "a"):
            pass
        with exclusive(tmp_path / "b"):
            pass


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file" / "below"))
    with exclusive(tmp_path / "a"), one_at_a_time(tmp_path / "b"):
        assert reserved(tmp_path) == 0


def test_a_part_of_the_cache_is_filled_by_one_process_while_others_wait(tmp_path: Path) -> None:
    part, said, order = tmp_path / "part", [], []

    def wait() -> None:
        with one_at_a_time(part, said.append):
            order.append("second")

    thread = threading.Thread(target=wait)
    with one_at_a_time(part):
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert said == [f"waiting for another lab (process {os.getpid()}), which is writing {part}"]


def test_what_other_processes_are_writing_counts_as_reserved_until_they_end(tmp_path: Path) -> None:
    part = tmp_path / "canvases" / "a.npy"
    first = holder("one_at_a_time(Path(sys.argv[1]), size=1234)", part)
    with one_at_a_time(part.with_name("b.npy"), size=99):
        assert reserved(part.parent) == 1234
        assert reserved(tmp_path / "elsewhere") == 0
    kill(first)
    assert reserved(part.parent) == 0


@pytest.mark.parametrize("size", ['"many"', "[1]", "NaN", "1e999", "-5", "true", "null"])
def test_a_lock_whose_note_is_damaged_reserves_nothing(tmp_path: Path, own_cache: Path, size: str) -> None:
    part = tmp_path / "canvases" / "a.npy"
    with one_at_a_time(part, size=1234):
        (lock,) = (own_cache / "locks").iterdir()
        lock.write_text(f'{{"pid": 1, "folder": {json.dumps(str(part.parent))}, "size": {size}}}')
        assert reserved(part.parent) == 0
