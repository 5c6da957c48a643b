"""A prediction that was killed resumes where it stopped and ends as an unbroken one, or is refused."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import infer.pipeline.resume
from infer.core.errors import DataError, ImageError, OutputError
from infer.pipeline.classify import ImagePrediction
from infer.pipeline.resume import BLOCK, Progress

ROOT = Path(__file__).parents[3]
FILES = [f"{number}.png" for number in range(23)]
SAME = {"models": "a", "images": "b"}


def prediction(number: int) -> ImagePrediction:
    if number % 7 == 3:
        return ImagePrediction(error=ImageError(FILES[number], "damaged"))
    return ImagePrediction(np.random.default_rng(number).random(3, dtype=np.float32))


def key(item: ImagePrediction) -> object:
    return str(item.error) if item.probabilities is None else item.probabilities.tobytes()


UNBROKEN = [key(prediction(number)) for number in range(23)]


@pytest.fixture(autouse=True)
def write_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.pipeline.resume, "INTERVAL", 0.0)


@dataclass
class Parts:
    """A fingerprint with these parts."""

    values: dict[str, str]

    def parts(self) -> dict[str, str]:
        return self.values


def progress(path: Path, values: dict[str, str] = SAME, say: Callable[[str], None] = print) -> Progress:
    return Progress(path, Parts(values), FILES, 4, 3, say)  # type: ignore[arg-type]


class Work:
    """Predicts images from any number on, and records their numbers."""

    def __init__(self) -> None:
        self.predicted: list[int] = []

    def predict(self, start: int) -> Generator[ImagePrediction, None, None]:
        for number in range(start, len(FILES)):
            self.predicted.append(number)
            yield prediction(number)


def stream(kept: Progress, work: Work) -> Generator[ImagePrediction, None, None]:
    """The predictions of all files, as lab predict takes them."""
    yield from kept.saved()
    yield from kept.saving(work.predict(kept.count))


def finish(path: Path, work: Work, values: dict[str, str] = SAME, say: Callable[[str], None] = print) -> list[object]:
    with progress(path, values, say) as kept:
        return [key(item) for item in stream(kept, work)]


def begin(path: Path, count: int) -> None:
    """Stop after `count` predictions."""
    with progress(path) as kept:
        list(itertools.islice(stream(kept, Work()), count))


@pytest.mark.parametrize("count", [1, 4, 9, 23])
def test_the_rest_is_predicted_and_all_predictions_are_those_of_an_unbroken_run(tmp_path: Path, count: int) -> None:
    begin(tmp_path / "p", count)
    work, said = Work(), []
    assert finish(tmp_path / "p", work, say=said.append) == UNBROKEN
    saved = min(-(-count // 4) * 4, 23)
    assert work.predicted == list(range(saved, 23))
    assert said == [f"resuming: {saved} of 23 images are already predicted in {tmp_path / 'p'}"]


def test_it_can_be_stopped_again_and_again(tmp_path: Path) -> None:
    for count in (3, 7, 15, 15):
        begin(tmp_path / "p", count)
    work = Work()
    assert finish(tmp_path / "p", work) == UNBROKEN
    assert work.predicted == list(range(16, 23))


def test_a_block_cut_or_damaged_anywhere_is_predicted_again(tmp_path: Path) -> None:
    begin(tmp_path / "whole", 12)
    content = (tmp_path / "whole").read_bytes()
    header = content.index(b"\n") + 1
    for end in range(header, len(content), 11):
        (tmp_path / "p").write_bytes(content[:end])
        assert finish(tmp_path / "p", Work()) == UNBROKEN
        damaged = bytearray(content)
        damaged[end] ^= 1
        (tmp_path / "p").write_bytes(damaged)
        assert finish(tmp_path / "p", Work()) == UNBROKEN
        (tmp_path / "p").unlink()


def test_a_file_that_was_repaired_after_a_cut_is_resumed_again(tmp_path: Path) -> None:
    begin(tmp_path / "p", 12)
    os.truncate(tmp_path / "p", (tmp_path / "p").stat().st_size - 5)
    begin(tmp_path / "p", 20)
    work = Work()
    assert finish(tmp_path / "p", work) == UNBROKEN
    assert work.predicted == [20, 21, 22]


@pytest.mark.parametrize("other", [{"models": "x", "images": "b"}, {"models": "a"}, {**SAME, "tta": "flips"}])
def test_the_file_of_another_prediction_is_refused_by_what_differs(tmp_path: Path, other: dict[str, str]) -> None:
    begin(tmp_path / "p", 9)
    name = next(name for name in {**SAME, **other} if SAME.get(name) != other.get(name))
    with pytest.raises(DataError, match=f"other {name}; give --restart"):
        finish(tmp_path / "p", Work(), other)


def test_a_file_that_is_no_progress_file_is_refused(tmp_path: Path) -> None:
    began = (b'{"began": %s}\n' % number for number in (b"1" + b"0" * 400, b"Infinity", b"NaN", b"[]"))
    for content in (b"hello\n", b"[1]\n", b'{"models": "a"}\n', *began):
        (tmp_path / "p").write_bytes(content)
        with pytest.raises(DataError, match="is not a progress file of lab predict; give --restart"):
            finish(tmp_path / "p", Work())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"\xff\n",
        b"[" * 5000,
        b"[4]\n",
        b'[1, {"0": ["0.png", "damaged"]}]\n',
        b'[1, {"0": ["0.png", 5, false]}]\n',
        b'[1, {"0": null}]\n',
        b'[1, {"7": ["7.png", "damaged", false]}]\n' + bytes(12),
        b"[1, [1]]\n" + bytes(12),
        b'["1", {}]\n' + bytes(12),
        b"[0, {}]\n",
        b"[-1, {}]\n",
        b"[1e999, {}]\n",
        b"[24, {}]\n" + bytes(24 * 12),
        b"[1000000000000000000000, {}]\n",
        b"[2, {}]\n" + bytes(12),
        b"[1, {}]\n" + bytes(16),
        b"[1, {}]\n" + bytes(11),
    ],
)
def test_a_block_that_lab_did_not_write_is_refused_although_its_checksum_is_right(
    tmp_path: Path, content: bytes
) -> None:
    begin(tmp_path / "p", 8)
    whole = (tmp_path / "p").read_bytes()
    header = whole[: whole.index(b"\n") + 1]
    (tmp_path / "p").write_bytes(header + BLOCK.pack(len(content), zlib.crc32(content)) + content)
    with pytest.raises(DataError, match=r"is damaged .*; give --restart to discard it"):
        finish(tmp_path / "p", Work())


@pytest.mark.parametrize("content", [b"", b'{"began": 12'])
def test_a_prediction_killed_before_its_header_was_written_starts_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    begin(tmp_path / "p", 9)
    work = Work()
    assert finish(tmp_path / "p", work) == UNBROKEN
    assert work.predicted == list(range(12, 23))


def test_an_image_that_was_repaired_or_could_not_be_reached_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(FILES[10]).write_bytes(b"damaged")
    time.sleep(0.02)
    begin(tmp_path / "p", 20)
    work = Work()
    assert finish(tmp_path / "p", work) == UNBROKEN
    assert work.predicted == list(range(20, 23))  # damaged still
    begin(tmp_path / "p2", 20)
    Path(FILES[10]).write_bytes(b"repaired")
    work = Work()
    assert finish(tmp_path / "p2", work) == UNBROKEN
    assert work.predicted == list(range(8, 23))  # from its block on


def test_an_image_that_changed_since_is_refused_even_with_an_old_modification_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).write_bytes(b"")
    time.sleep(0.02)
    begin(tmp_path / "p", 9)
    Path("2.png").write_bytes(b"x")
    os.utime("2.png", (1, 1))
    with pytest.raises(DataError, match=r"2\.png has changed since"):
        finish(tmp_path / "p", Work())


def test_two_predictions_do_not_write_one_file(tmp_path: Path) -> None:
    begin(tmp_path / "p", 4)
    with progress(tmp_path / "p") as first:
        list(itertools.islice(stream(first, Work()), 9))
        with pytest.raises(OutputError, match="another prediction is writing"):
            finish(tmp_path / "p", Work())
        with pytest.raises(OutputError, match="another prediction is writing"):
            progress(tmp_path / "p").delete()
        assert (tmp_path / "p").exists()
        first.delete()
    assert not (tmp_path / "p").exists()
    progress(tmp_path / "p").delete()


def test_a_write_that_fails_after_the_block_is_in_the_file_does_not_put_it_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls = os.fsync, itertools.count()

    def fail_second(file: int) -> None:
        if next(calls) == 1:
            raise OSError(5, "Input/output error")
        fsync(file)

    monkeypatch.setattr(os, "fsync", fail_second)
    with pytest.raises(OutputError, match="Input/output error"):
        finish(tmp_path / "p", Work())
    work = Work()
    assert finish(tmp_path / "p", work) == UNBROKEN
    assert work.predicted == list(range(8, 23))


def test_a_short_prediction_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.pipeline.resume, "INTERVAL", 60.0)
    begin(tmp_path / "p", 9)
    assert list(tmp_path.iterdir()) == []


SLOW = """
import sys, time
import cli, infer.pipeline.resume
from infer.model.session import Session
infer.pipeline.resume.INTERVAL = 0
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
    found = re.search(r"resuming: (\d+) of 37 images are already predicted", ran.out + ran.err)
    assert found is not None
    assert 0 < int(found[1]) < 37
    for name in ("s.csv", "p.parquet", "s.bad.csv"):
        assert (broken / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert not (broken / "s.progress").exists()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_restart_discards_the_progress_file(lab: Callable, model: Path, cells: Path, tmp_path: Path) -> None:
    (tmp_path / "s.progress").write_bytes(b"of another one\n")
    command = ("predict", cells / "test", "--model", model, "--out", tmp_path / "s.csv")
    assert lab(*command).code == 1
    ran = lab(*command, "--restart")
    assert ran.code == 0, ran.err
    assert not (tmp_path / "s.progress").exists()
