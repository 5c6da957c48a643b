"""Applies a function to many tasks in parallel, in threads or processes, and yields the results in order.

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

PROCESSES_FROM = 400
"""Number of images from which processes gain more than starting them costs."""
THREADS = 8
"""Number of threads beyond which decoding does not become faster."""
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
    """Yield the function's result for each task, in order. No thread or process is left running, whatever happens.

    Args:
        function: with `processes`, one that can be pickled, as can the tasks.
        tasks: taken lazily, at most `ahead` of them before their first result is yielded.
        count: number of threads or processes, at least 1.
        ahead: number of tasks in progress, at least 1.
        processes: use processes instead of threads.
        shared: file descriptors that the processes inherit under the same number.

    Raises:
        Exception: what the function raised, when its task's result is due.
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
    """Yield `read(file)`, or its ImageError, for each file, in order, read in threads at most `ahead` files early."""
    with bombs_are_errors():
        yield from in_order(partial(_try_read, read), files, count or min(THREADS, cores()), ahead)


def serve() -> None:
    """Run in a worker process: read pickled functions and tasks from stdin, and write their pickled results to stdout.

    The process exits silently where a task fails; the caller then runs that task itself and gets the error.
    """
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else that is printed may mix with the results
    with bombs_are_errors(), contextlib.suppress(Exception):
        while True:
            function, task = pickle.load(sys.stdin.buffer)
            pickle.dump(function(task), results)
            results.flush()


Call = Callable[[Callable[[Any], Any], Any], Any]


@contextlib.contextmanager
def _threads() -> Iterator[Call]:
    """Give a call that runs a function in the calling thread."""
    yield lambda function, task: function(task)


@contextlib.contextmanager
def _processes(count: int, shared: Sequence[int]) -> Iterator[Call]:
    """Start `count` processes and give a call that runs a function in one of them, waiting for one that is free."""
    started: list[Process] = []
    free: SimpleQueue[Process | None] = SimpleQueue()

    def call(function: Callable[[Any], Any], task: Any) -> Any:
        process = free.get()
        try:
            if process is None:
                return function(task)
            return ask(process, function, task)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            process = None  # it has died; its share is done in this process from here on
            return function(task)
        finally:
            free.put(process)

    try:
        for _ in range(count):
            process = None
            with contextlib.suppress(OSError):  # no more processes are to be had: a thread does the work
                process = start_process(shared)
                started.append(process)
            free.put(process)
        yield call
    finally:
        for process in started:
            process.kill()
            process.communicate()


def start_process(shared: Sequence[int] = ()) -> Process:
    """Start a process that answers `ask`, in a session of its own: Ctrl-C reaches the caller alone, which then ends it.

    Raises:
        OSError: there are no more processes to be had.
    """
    command = [sys.executable, "-c", START.format(sys.path, __name__)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, pass_fds=shared
    )


def ask(process: Process, function: Callable[[T], A], task: T) -> A:
    """The result of a function, run in such a process; both can be pickled, and no thread asks it at the same time.

    Raises:
        EOFError, BrokenPipeError, pickle.UnpicklingError: the process has died, or the function has raised something.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump((function, task), process.stdin)
    process.stdin.flush()
    result: A = pickle.load(process.stdout)
    return result


def _try_read(read: Callable[[F], A], file: F) -> A | ImageError:
    try:
        return read(file)
    except ImageError as error:
        return error
