import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import trainer.decode
from infer.errors import ImageError
from infer.pixels import MAX_PIXELS, PixelSpec, read_canvas
from trainer.decode import Marks, decode_files

ROOT = Path(__file__).parent.parent
SPEC = PixelSpec.default(32)
SIZE = 3 * SPEC.canvas[0] * SPEC.canvas[1]
OFFSET = 11


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """40 images of noise, of which number 20 is missing."""
    (tmp_path / "images").mkdir()
    names = [str(tmp_path / "images" / f"{number}.bmp") for number in range(40)]
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        if seed != 20:
            Image.fromarray(noise).save(name)
    return names


@pytest.fixture(params=["threads", "processes"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(trainer.decode, "FEW", {"threads": 1000, "processes": 0}[request.param])
    return str(request.param)


def decode(files: list[str], out: Path, workers: int = 2) -> Marks:
    out.write_bytes(bytes(OFFSET + len(files) * SIZE))
    return decode_files(files, SPEC, out, OFFSET, workers)


def check(marks: Marks, files: list[str], out: Path) -> None:
    """Each row holds its image's canvas and its mark is the checksum; a row without one is untouched."""
    content = out.read_bytes()
    assert content[:OFFSET] == bytes(OFFSET)
    assert len(content) == OFFSET + len(files) * SIZE
    for row, (mark, file) in enumerate(zip(marks, files, strict=True)):
        found = content[OFFSET + row * SIZE : OFFSET + (row + 1) * SIZE]
        if isinstance(mark, ImageError):
            assert not any(found)
        else:
            assert found == read_canvas(file, SPEC).tobytes()
            assert mark == zlib.crc32(found)


def children() -> list[int]:
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(number) for number in task.read_text().split()] if task.is_file() else []


def test_every_image_is_written_to_its_row_and_nothing_is_left(tmp_path: Path, files: list[str], way: str) -> None:
    before = children()
    marks = decode(files, tmp_path / "out")
    check(marks, files, tmp_path / "out")
    assert [row for row, mark in enumerate(marks) if isinstance(mark, ImageError)] == [20]
    assert children() == before


def test_errors_come_back_as_they_were(tmp_path: Path, files: list[str], way: str) -> None:
    Path(files[3]).write_bytes(b"no image")
    Image.new("1", (10_000, MAX_PIXELS // 10_000 + 1)).save(tmp_path / "bomb.png")
    files[4] = str(tmp_path / "bomb.png")
    marks = decode(files, tmp_path / "out")
    for row in (3, 4, 20):
        with pytest.raises(ImageError) as expected:
            read_canvas(files[row], SPEC)
        error = marks[row]
        assert isinstance(error, ImageError)
        assert (error.path, error.reason, error.transient) == (
            files[row],
            expected.value.reason,
            expected.value.transient,
        )


def test_the_number_of_finished_images_is_told_up_to_the_last(tmp_path: Path, files: list[str]) -> None:
    told: list[int] = []
    (tmp_path / "out").write_bytes(b"")
    decode_files(files, SPEC, tmp_path / "out", 0, 2, told.append)
    assert told == sorted(told)
    assert len(told) == 3
    assert told[-1] == 40


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, files: list[str], way: str) -> None:
    before = children()
    with pytest.raises(FileNotFoundError):
        decode_files(files, SPEC, tmp_path / "not there", 0, 2)
    assert children() == before


def test_the_work_of_a_process_that_dies_is_done_all_the_same(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.decode, "FEW", 0)
    monkeypatch.setattr(trainer.decode, "START", "raise SystemExit(3)  # {}")
    check(decode(files, tmp_path / "out"), files, tmp_path / "out")


def test_threads_do_the_work_where_no_process_can_be_started(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.decode, "FEW", 0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    check(decode(files, tmp_path / "out"), files, tmp_path / "out")


def test_a_program_from_standard_input_is_not_run_again_by_its_processes(tmp_path: Path, files: list[str]) -> None:
    program = f"""
from pathlib import Path
import trainer.decode
from infer.pixels import PixelSpec
open({str(tmp_path / "runs")!r}, "a").write("run ")
trainer.decode.FEW = 0
(out := Path({str(tmp_path / "out")!r})).touch()
marks = trainer.decode.decode_files({files!r}, PixelSpec.default(32), out, 0, 2)
print(sum(isinstance(mark, int) for mark in marks))
"""
    ran = subprocess.run([sys.executable, "-"], input=program, text=True, capture_output=True, cwd=ROOT, check=True)
    assert (ran.stdout, ran.stderr) == ("39\n", "")
    assert (tmp_path / "runs").read_text() == "run "


SLOW = """
import os, sys
from pathlib import Path
import trainer.decode
from infer.pixels import PixelSpec
trainer.decode.FEW = 0
trainer.decode.START = '''
import time, sys; sys.path[:] = {!r}
import trainer.decode
trainer.decode.write_canvases = lambda task: time.sleep(0.5) or []
trainer.decode.serve()
'''
as_completed = trainer.decode.as_completed
def told(futures):  # the processes have been started
    print(*(path.read_text() for path in Path(f"/proc/{os.getpid()}/task").glob("*/children")), flush=True)
    return as_completed(futures)
trainer.decode.as_completed = told
trainer.decode.decode_files(["a.bmp"] * 4000, PixelSpec.default(32), Path(), 0, 2)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_program_that_is_stopped_leaves_no_processes(how: signal.Signals) -> None:
    caller = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    started = [Path("/proc", number, "cmdline") for number in caller.stdout.readline().split()]
    assert len(started) == 2
    caller.send_signal(how)
    _, said = caller.communicate(timeout=30)
    assert caller.returncode == -how
    assert said.count("Traceback") == (how == signal.SIGINT)  # the caller's alone
    deadline = time.monotonic() + 30
    while any(map(lives, started)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(lives, started))


def lives(cmdline: Path) -> bool:
    """Whether the process runs; the command line of one that no one has buried yet is empty."""
    try:
        return bool(cmdline.read_bytes())
    except OSError:
        return False


def test_a_process_imports_no_torch() -> None:
    code = "import sys, trainer.decode; print({'torch', 'rich', 'onnxruntime'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, cwd=ROOT, check=True)
    assert ran.stdout == "set()\n"
