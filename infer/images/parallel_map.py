"""One function of many tasks on all cores, in order, on threads or in processes.

Where images are decoded, threads reach a fraction of what processes do. Processes are plain interpreters that read
tasks from a pipe: unlike multiprocessing's they never run the caller's main module, which may be a script without a
guard or come from standard input, and they end with the pipe, however the caller ends.
"""

import contextlib
import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from infer.core.cpu import cores
from infer.core.errors import ImageError
from infer.images.decode import bombs_are_errors

F = TypeVar("F")
T = TypeVar("T")
A = TypeVar("A")

FEW = 400
"""For fewer images than this, starting processes costs more than they gain."""
THREADS = 8
"""More threads than these do not decode faster."""
START = "import sys; sys.path[:] = {!r}; from {} import serve; serve()"

Process = subprocess.Popen[bytes]


def in_order(
    function: Callable[[T], A],
    tasks: Iterable[T],
    count: int,
    ahead: int,
    processes: bool = False,
    shared: Sequence[int] = (),
) -> Generator[A, None, None]:
    """The function of each task, in the tasks' order. Nothing is left running, whatever happens.

    Args:
        function: of a module, where processes are to find it; it and the tasks are pickled for them.
        tasks: at most `ahead` of them are taken before the caller has had the answer to the first of these.
        count: threads or processes, at least one.
        ahead: tasks, at least one.
        processes: rather than threads.
        shared: open files that the processes inherit under the same number.

    Raises:
        Exception: what the function raised, at its task's turn.
    """
    with _processes(count, shared) if processes else _threads() as call:
        pool = ThreadPoolExecutor(count, "decode")
        try:
            waiting: deque[Future[A]] = deque()
            rest = iter(tasks)
            for task in islice(rest, ahead):
                waiting.append(pool.submit(call, function, task))
            while waiting:
                yield waiting.popleft().result()
                for task in islice(rest, 1):
                    waiting.append(pool.submit(call, function, task))
        finally:
            pool.shutdown(cancel_futures=True)


def read_ahead(
    files: Sequence[F], read: Callable[[F], A], count: int | None = None, ahead: int = 64
) -> Generator[A | ImageError, None, None]:
    """`read` of each file, in order, on threads that run at most `ahead` files in front of the caller."""
    with bombs_are_errors():
        yield from in_order(partial(_try_read, read), files, count or min(THREADS, cores()), ahead)


def serve() -> None:
    """A process's life: a pickled function and task on standard input, its answer on standard output, until the end.

    It ends at once, and in silence, where a task fails: the caller then does that task itself and sees the error.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    with bombs_are_errors(), contextlib.suppress(Exception):
        while True:
            function, task = pickle.load(sys.stdin.buffer)
            pickle.dump(function(task), answers)
            answers.flush()


Call = Callable[[Callable[[Any], Any], Any], Any]


@contextlib.contextmanager
def _threads() -> Iterator[Call]:
    """What calls a function, for threads of this process."""
    yield lambda function, task: function(task)


@contextlib.contextmanager
def _processes(count: int, shared: Sequence[int]) -> Iterator[Call]:
    """What has a function called in one of `count` processes; a thread that calls it waits for one that is free."""
    started: list[Process] = []
    free: SimpleQueue[Process | None] = SimpleQueue()

    def call(function: Callable[[Any], Any], task: Any) -> Any:
        process = free.get()
        try:
            if process is None:
                return function(task)
            return _ask(process, function, task)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            process = None  # it has died; its share is done in this process from here on
            return function(task)
        finally:
            free.put(process)

    command = [sys.executable, "-c", START.format(sys.path, __name__)]
    try:
        for _ in range(count):
            process = None
            with contextlib.suppress(OSError):  # no more processes are to be had: a thread does the work
                # a session of its own: Ctrl-C reaches the caller alone, which then ends its processes
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, pass_fds=shared
                )
                started.append(process)
            free.put(process)
        yield call
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _ask(process: Process, function: Callable[[Any], Any], task: Any) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump((function, task), process.stdin)
    process.stdin.flush()
    return pickle.load(process.stdout)


def _try_read(read: Callable[[F], A], file: F) -> A | ImageError:
    try:
        return read(file)
    except ImageError as error:
        return error
