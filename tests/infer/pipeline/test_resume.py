"""A prediction that was killed goes on where it stopped, and ends as one that was not; or it refuses to."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import infer.pipeline.resume
from infer.core.errors import DataError, ImageError, OutputError
from infer.pipeline.classify import Answer
from infer.pipeline.resume import resuming

ROOT = Path(__file__).parents[3]
FILES = [f"{number}.png" for number in range(23)]
SAME = {"models": "a", "images": "b"}


def answer(number: int) -> Answer:
    if number % 7 == 3:
        return Answer(error=ImageError(FILES[number], "damaged"))
    return Answer(np.random.default_rng(number).random(3, dtype=np.float32))


def key(item: Answer) -> object:
    return str(item.error) if item.probabilities is None else item.probabilities.tobytes()


WHOLE = [key(answer(number)) for number in range(23)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.pipeline.resume, "AFTER", 0.0)


class Work:
    """Answers from any number on; it remembers which it was asked for."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def __call__(self, start: int) -> Iterator[Answer]:
        for number in range(start, len(FILES)):
            self.done.append(number)
            yield answer(number)


def answers(path: Path, work: Work, identity: dict[str, str] = SAME, say: list[str] | None = None) -> list[object]:
    told = say if say is not None else []
    return [key(item) for item in resuming(path, lambda: identity, FILES, 4, work, told.append)]


def begun(path: Path, count: int) -> None:
    """Stop after so many answers have been taken."""
    stream = resuming(path, lambda: SAME, FILES, 4, Work(), lambda text: None)
    list(itertools.islice(stream, count))
    stream.close()


@pytest.mark.parametrize("count", [1, 4, 9, 23])
def test_the_rest_is_done_and_all_answers_are_those_of_an_unbroken_run(tmp_path: Path, count: int) -> None:
    begun(tmp_path / "p", count)
    work, said = Work(), []
    assert answers(tmp_path / "p", work, say=said) == WHOLE
    done = -(-count // 4) * 4
    assert work.done == list(range(min(done, 23), 23))
    assert said == [f"going on: {min(done, 23)} of 23 images had been done, by {tmp_path / 'p'}"]


def test_it_can_be_stopped_again_and_again(tmp_path: Path) -> None:
    for count in (3, 7, 15, 15):
        begun(tmp_path / "p", count)
    work = Work()
    assert answers(tmp_path / "p", work) == WHOLE
    assert work.done == list(range(16, 23))


def test_a_block_cut_or_damaged_anywhere_is_done_again(tmp_path: Path) -> None:
    begun(tmp_path / "whole", 12)
    content = (tmp_path / "whole").read_bytes()
    header = content.index(b"\n") + 1
    for end in range(header, len(content), 11):
        (tmp_path / "p").write_bytes(content[:end])
        assert answers(tmp_path / "p", Work()) == WHOLE
        damaged = bytearray(content)
        damaged[end] ^= 1
        (tmp_path / "p").write_bytes(damaged)
        assert answers(tmp_path / "p", Work()) == WHOLE
        (tmp_path / "p").unlink()


def test_what_was_mended_after_a_cut_is_found_by_the_next_one(tmp_path: Path) -> None:
    begun(tmp_path / "p", 12)
    os.truncate(tmp_path / "p", (tmp_path / "p").stat().st_size - 5)
    begun(tmp_path / "p", 20)
    work = Work()
    assert answers(tmp_path / "p", work) == WHOLE
    assert work.done == [20, 21, 22]


@pytest.mark.parametrize("other", [{"models": "x", "images": "b"}, {"models": "a"}, {**SAME, "tta": "flips"}])
def test_the_file_of_another_prediction_is_refused_by_what_differs(tmp_path: Path, other: dict[str, str]) -> None:
    begun(tmp_path / "p", 9)
    name = next(name for name in {**SAME, **other} if SAME.get(name) != other.get(name))
    with pytest.raises(DataError, match=f"other {name}; give --restart"):
        answers(tmp_path / "p", Work(), other)


def test_a_file_that_keeps_nothing_is_refused(tmp_path: Path) -> None:
    for content in (b"hello\n", b"[1]\n", b'{"models": "a"}\n'):
        (tmp_path / "p").write_bytes(content)
        with pytest.raises(DataError, match="does not keep a prediction; give --restart"):
            answers(tmp_path / "p", Work())


@pytest.mark.parametrize("content", [b"", b'{"began": 12'])
def test_a_prediction_killed_before_it_said_what_it_is_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    begun(tmp_path / "p", 9)
    work = Work()
    assert answers(tmp_path / "p", work) == WHOLE
    assert work.done == list(range(12, 23))


def test_what_was_mended_or_was_not_to_be_had_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(FILES[10]).write_bytes(b"damaged")
    time.sleep(0.02)
    begun(tmp_path / "p", 20)
    work = Work()
    assert answers(tmp_path / "p", work) == WHOLE
    assert work.done == list(range(20, 23))  # damaged still
    begun(tmp_path / "p2", 20)
    Path(FILES[10]).write_bytes(b"mended")
    work = Work()
    assert answers(tmp_path / "p2", work) == WHOLE
    assert work.done == list(range(8, 23))  # from its block on


def test_an_image_that_changed_since_is_refused_though_its_time_looks_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).write_bytes(b"")
    time.sleep(0.02)
    begun(tmp_path / "p", 9)
    Path("2.png").write_bytes(b"x")
    os.utime("2.png", (1, 1))
    with pytest.raises(DataError, match=r"2\.png has changed since"):
        answers(tmp_path / "p", Work())


def test_two_predictions_do_not_write_one_file(tmp_path: Path) -> None:
    begun(tmp_path / "p", 4)
    first = resuming(tmp_path / "p", lambda: SAME, FILES, 4, Work(), lambda text: None)
    list(itertools.islice(first, 9))
    with pytest.raises(OutputError, match="another prediction writes"):
        answers(tmp_path / "p", Work())
    first.close()


def test_a_short_prediction_keeps_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.pipeline.resume, "AFTER", 60.0)
    begun(tmp_path / "p", 9)
    assert list(tmp_path.iterdir()) == []


SLOW = """
import sys, time
import cli, infer.pipeline.resume
from infer.model.session import Session
infer.pipeline.resume.AFTER = 0
run = Session.run
Session.run = lambda session, pixels: (time.sleep(0.3), run(session, pixels))[1]
cli.main(sys.argv[1:])
"""


def test_a_killed_prediction_run_again_writes_the_bytes_of_an_unbroken_one(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    for copy in "abc":
        shutil.copytree(cells / "test", images / copy)
    (images / "b" / "bad.png").write_bytes(b"no image")

    def command(out: Path, *more: str) -> list[str]:
        outs = ["--out", str(out / "s.csv"), "--probabilities", str(out / "p.parquet")]
        return ["predict", str(images), "--model", str(model), "-b", "4", "--bad-images", "skip", *outs, *more]

    assert lab(*command(tmp_path / "unbroken")).code == 0
    broken = tmp_path / "broken"
    for _ in range(2):
        killed = subprocess.Popen([sys.executable, "-c", SLOW, *command(broken)], cwd=ROOT, stdout=subprocess.DEVNULL)
        before = size(broken / "s.progress")
        deadline = time.monotonic() + 60
        while size(broken / "s.progress") in (0, before) and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        assert not (broken / "s.csv").exists()
    refused = lab(*command(broken, "--tta", "flips"))
    assert refused.code == 1
    assert "other options; give --restart" in refused.err
    ran = lab(*command(broken))
    assert ran.code == 0, ran.err
    found = re.search(r"going on: (\d+) of 37 images had been done", ran.out + ran.err)
    assert found is not None
    assert 0 < int(found[1]) < 37
    for name in ("s.csv", "p.parquet", "s.bad.csv"):
        assert (broken / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert not (broken / "s.progress").exists()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_restart_begins_anew(lab: Callable, model: Path, cells: Path, tmp_path: Path) -> None:
    (tmp_path / "s.progress").write_bytes(b"of another one\n")
    command = ("predict", cells / "test", "--model", model, "--out", tmp_path / "s.csv")
    assert lab(*command).code == 1
    ran = lab(*command, "--restart")
    assert ran.code == 0, ran.err
    assert not (tmp_path / "s.progress").exists()
