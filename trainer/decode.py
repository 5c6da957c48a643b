"""Decoding on all cores: many images at once become rows of one file.

Threads reach a fraction of what processes do, so larger sets are decoded by processes. They are plain interpreters that
read tasks from a pipe: unlike multiprocessing's they never run the caller's main module, which may be a script without
a guard or come from standard input, and they end with the pipe, however the caller ends.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from infer.cpu import cores
from infer.errors import ImageError
from infer.pixels import PixelSpec, bombs_are_errors, read_canvas

CHUNK = 16
"""Images a task."""
FEW = 400
"""For fewer images than this, starting processes costs more than they gain."""
THREADS = 8
"""More threads than these do not decode faster."""
START = "import sys; sys.path[:] = {!r}; from trainer.decode import serve; serve()"

Marks = list[int | ImageError]
"""For each image the crc32 of its canvas's bytes, or why it has none."""


@dataclass(frozen=True)
class Task:
    """Some images, and the place in the file of the first one's canvas."""

    files: tuple[str, ...]
    spec: PixelSpec
    out: str
    offset: int


def decode_files(
    files: Sequence[str],
    spec: PixelSpec,
    out: Path,
    offset: int,
    workers: int | None,
    on_done: Callable[[int], None] = lambda done: None,
) -> Marks:
    """Write the canvas of `files[i]`, uint8 [canvas H, canvas W, 3], to `out` at byte `offset` + i * its size.

    `out` exists; the rows of unreadable images are left as they are. `workers` None means all cores; `on_done` is told
    how many images are finished. No process or thread is left, whatever happens.

    Raises:
        OSError: `out` cannot be written.
    """
    size = 3 * spec.canvas[0] * spec.canvas[1]
    starts = range(0, len(files), CHUNK)
    tasks = [Task(tuple(files[start : start + CHUNK]), spec, str(out), offset + start * size) for start in starts]
    count = min(workers or cores(), len(tasks))
    processes = count > 1 and len(files) >= FEW
    marks: list[Marks] = [[] for _ in tasks]
    with _processes(count) if processes else _threads() as write:
        pool = ThreadPoolExecutor(max(1, count if processes or workers else min(count, THREADS)), "decode")
        try:
            coming = {pool.submit(write, task): number for number, task in enumerate(tasks)}
            done = 0
            for future in as_completed(coming):
                marks[coming[future]] = future.result()
                done += len(marks[coming[future]])
                on_done(done)
        finally:
            pool.shutdown(cancel_futures=True)
    return [mark for chunk in marks for mark in chunk]


def write_canvases(task: Task) -> Marks:
    """Decode a task's images into its file. Raises OSError where the file cannot be written."""
    marks: Marks = []
    size = 3 * task.spec.canvas[0] * task.spec.canvas[1]
    with open(task.out, "r+b") as out:
        for row, file in enumerate(task.files):
            try:
                pixels = read_canvas(file, task.spec).tobytes()
            except ImageError as error:
                marks.append(error)
                continue
            out.seek(task.offset + row * size)
            out.write(pixels)
            marks.append(zlib.crc32(pixels))
    return marks


def serve() -> None:
    """A process's life: a pickled Task on standard input, its marks on standard output, until the input ends.

    It ends at once, and in silence, where a task fails: the caller then does that task itself and sees the error.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    with bombs_are_errors(), contextlib.suppress(Exception):
        while True:
            pickle.dump(write_canvases(pickle.load(sys.stdin.buffer)), answers)
            answers.flush()


@contextlib.contextmanager
def _threads() -> Iterator[Callable[[Task], Marks]]:
    """`write_canvases`, to be called by threads of this process."""
    with bombs_are_errors():
        yield write_canvases


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Callable[[Task], Marks]]:
    """`write_canvases`, done in one of `count` processes; a thread that calls it waits for one that is free."""
    started: list[subprocess.Popen[bytes]] = []
    free: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()

    def write(task: Task) -> Marks:
        process = free.get()
        try:
            if process is None:
                return write_canvases(task)
            return _ask(process, task)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            process = None  # it has died; its share is done in this process from here on
            return write_canvases(task)
        finally:
            free.put(process)

    command = [sys.executable, "-c", START.format(sys.path)]
    try:
        for _ in range(count):
            process = None
            with contextlib.suppress(OSError):  # no more processes are to be had: a thread does the work
                # a session of its own: Ctrl-C reaches the caller alone, which then ends its processes
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
                )
                started.append(process)
            free.put(process)
        with bombs_are_errors():
            yield write
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _ask(process: subprocess.Popen[bytes], task: Task) -> Marks:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(task, process.stdin)
    process.stdin.flush()
    marks: Marks = pickle.load(process.stdout)
    return marks
