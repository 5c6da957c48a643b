"""One function of many tasks: in order, bounded, and nothing left running."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import infer.images.parallel_map
from infer.core.errors import ImageError
from infer.images.parallel_map import in_order, read_ahead

ROOT = Path(__file__).parents[3]
ONE = np.zeros((1, 1, 3), dtype=np.uint8)


def slow_for_early_files(file: str) -> np.ndarray:
    time.sleep(0.01 if int(file) % 4 == 0 else 0)
    return np.full((1, 1, 3), int(file), dtype=np.uint8)


def test_images_come_in_order_whichever_decodes_first() -> None:
    read = read_ahead([str(number) for number in range(50)], slow_for_early_files, count=4)
    assert [int(image[0, 0, 0]) for image in read] == list(range(50))


def test_no_more_images_are_read_than_a_bound_ahead_of_the_caller() -> None:
    started: list[str] = []
    images = read_ahead([str(k) for k in range(200)], lambda file: started.append(file) or ONE, count=2, ahead=10)
    for taken, _ in enumerate(images, 1):
        assert len(started) <= taken + 10


def test_a_bad_image_is_an_answer_and_the_rest_goes_on() -> None:
    def read(file: str) -> np.ndarray:
        if file == "1":
            raise ImageError(file, "damaged")
        return ONE

    kinds = [isinstance(image, ImageError) for image in read_ahead(["0", "1", "2"], read)]
    assert kinds == [False, True, False]


def test_a_bug_in_a_worker_is_not_taken_for_a_bad_image() -> None:
    def read(file: str) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_ahead(["0"], read))


def test_a_caller_that_stops_early_leaves_no_thread_behind() -> None:
    images = read_ahead([str(k) for k in range(500)], lambda file: ONE)
    next(images)
    images.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def process_of(number: int) -> tuple[int, int]:
    return number, os.getpid()


def refuse(number: int) -> int:
    if number == 3:
        raise ImageError(str(number), "damaged", transient=True)
    return number


def test_processes_answer_in_order_and_none_of_them_is_this_one() -> None:
    answers = list(in_order(process_of, range(20), 2, ahead=5, processes=True))
    assert [number for number, _ in answers] == list(range(20))
    assert os.getpid() not in {process for _, process in answers}


def test_no_more_tasks_are_taken_than_a_bound_ahead_of_the_answers() -> None:
    taken: list[int] = []
    answers = in_order(refuse, (taken.append(number) or number for number in range(4, 100)), 2, ahead=7)
    for number, _ in enumerate(answers, 1):
        assert len(taken) <= number + 6


@pytest.mark.parametrize("processes", [False, True])
def test_an_error_is_raised_as_it_was_at_its_turn(processes: bool) -> None:
    answers = in_order(refuse, range(6), 2, ahead=6, processes=processes)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ImageError) as caught:
        next(answers)
    assert caught.value.transient


def test_the_work_of_a_process_that_dies_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.images.parallel_map, "START", "raise SystemExit(3)  # {}")
    assert list(in_order(abs, range(20), 2, ahead=5, processes=True)) == list(range(20))


def test_threads_do_the_work_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert list(in_order(abs, range(20), 2, ahead=5, processes=True)) == list(range(20))


def test_a_program_from_standard_input_is_not_run_again_by_its_processes(tmp_path: Path) -> None:
    program = f"""
from infer.images.parallel_map import in_order
open({str(tmp_path / "runs")!r}, "a").write("run ")
print(sum(in_order(abs, range(10), 2, ahead=5, processes=True)))
"""
    ran = subprocess.run([sys.executable, "-"], input=program, text=True, capture_output=True, cwd=ROOT, check=True)
    assert (ran.stdout, ran.stderr) == ("45\n", "")
    assert (tmp_path / "runs").read_text() == "run "


SLOW = """
import os, time
from pathlib import Path
from infer.images.parallel_map import in_order
answers = in_order(time.sleep, [0] * 4 + [0.5] * 4000, 2, ahead=5, processes=True)
for _ in range(4):
    next(answers)
print(*(path.read_text() for path in Path(f"/proc/{os.getpid()}/task").glob("*/children")), flush=True)
list(answers)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_program_that_is_stopped_leaves_no_processes(how: signal.Signals) -> None:
    caller = subprocess.Popen(
        [sys.executable, "-c", SLOW],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell script lets what it starts in the background ignore SIGINT, and a child inherits that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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


def test_a_process_imports_neither_torch_nor_what_predicts() -> None:
    heavy = {"torch", "rich", "onnxruntime", "pandas"}
    code = f"import sys, infer.pipeline.batches, trainer.data.decode; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, cwd=ROOT, check=True)
    assert ran.stdout == "set()\n"
