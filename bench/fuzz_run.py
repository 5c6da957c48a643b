"""Runs mutated inputs in child processes with a limit of memory and of processor time, and records how each ended."""

import contextlib
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fuzz_mutators import Mutator

import cli
from infer.core.errors import LabError
from infer.core.text import shortened, shown

LONGEST = 10
"""Seconds of processor time that an input may take."""
STUCK = 300
"""Seconds after which an input ends that only waits."""
MEMORY = 2 << 30
"""Bytes of address space that an input may add to what the process had."""
CHUNK = 500
"""Inputs of a child process."""
LONGEST_LINE = 20_000
"""Characters of an error."""
READ, REFUSED, BROKEN = "read", "refused", "broken"
"""How an input ends: it is used, an error says what is wrong with it, or something else happens."""
CODES = (0, 1, 2, 3)
"""Exit codes that the documentation explains."""


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: for people.
        seeds: contents by file name; the mutant gets this name.
        mutators: one is chosen for each input.
        folder: in which the mutant is written.
        read: reads it; raises LabError.
        command: the arguments of the command that is given it; None: there is none that is cheap.
        share: one input in so many goes through the command, the others through `read`.
    """

    name: str
    seeds: dict[str, bytes]
    mutators: Sequence[Mutator]
    folder: Path
    read: Callable[[Path], object]
    command: Callable[[Path], Sequence[str | Path]] | None = None
    share: int = 50


@dataclass(frozen=True)
class Outcome:
    """How one input ended."""

    index: int
    state: str
    """READ, REFUSED or BROKEN."""
    what: str = ""
    """What is broken, and where, without the input's own words."""
    code: int = 0
    """The exit code of the command, or the one that the error would give."""
    whole: bool = False
    """Whether it went through the command."""
    seconds: float = 0.0
    """Of processor time."""
    megabytes: float = 0.0
    """That the process's memory grew by at most."""


def mutant(kind: Kind, seed: int, index: int) -> tuple[str, bytes]:
    """The name and content of an input; it follows from the kind, the seed and the index alone."""
    chance = random.Random(f"{kind.name} {seed} {index}")
    name = chance.choice(sorted(kind.seeds))
    return name, chance.choice(kind.mutators)(chance, kind.seeds[name])


def attempt(kind: Kind, seed: int, index: int) -> Outcome:
    """Write an input, use it, and say how it ended."""
    name, content = mutant(kind, seed, index)
    path = kind.folder / name
    kept = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    whole = kind.command is not None and index % kind.share == 0
    before, start = _peak_memory(reset=True), time.process_time()
    try:
        state, what, code = _run_command(kind, path) if whole else _run_reader(kind, path)
    finally:
        path.unlink(missing_ok=True)
        if kept is not None:
            path.write_bytes(kept)
    seconds, memory = time.process_time() - start, _peak_memory() - before
    return Outcome(index, state, what, code, whole, round(seconds, 3), round(memory, 1))


def _run_reader(kind: Kind, path: Path) -> tuple[str, str, int]:
    try:
        with _captured() as output:
            kind.read(path)
    except LabError as error:
        return _judged(error.exit_code, f"error: {shortened(shown(str(error)))}\n", output)
    except (MemoryError, OSError):
        return REFUSED, "", 1  # the command says so
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        return BROKEN, where(error), 1
    return _judged(0, "", output)


def _run_command(kind: Kind, path: Path) -> tuple[str, str, int]:
    assert kind.command is not None
    code = 0
    try:
        with _captured() as output:
            cli.main([str(argument) for argument in kind.command(path)])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Exception as error:  # noqa: BLE001  # as above
        return BROKEN, where(error), 1
    return _judged(code, "", output)


def _judged(code: int, error: str, output: list[str]) -> tuple[str, str, int]:
    """The state and what is wrong with it, of an exit code, and what was written to standard error."""
    lines = [*output, *error.splitlines()]
    errors = [line for line in lines if line.startswith("error: ")]
    problem = ""
    if code not in CODES:
        problem = f"exit code {code}"
    elif len(errors) != (code != 0) or (errors and lines[-1] != errors[0]):
        problem = f"{len(errors)} lines of error with exit code {code}"
    elif max(map(len, errors), default=0) > LONGEST_LINE:
        problem = f"an error of more than {LONGEST_LINE} characters: {errors[0][-60:]}"
    elif others := [line for line in lines if line not in errors]:
        problem = f"also on standard error: {others[0][:80]}"
    if problem:
        return BROKEN, problem, code
    return (REFUSED if code else READ), "", code


def where(error: BaseException) -> str:
    """The type of an error and the last line of lab's that raised or passed it."""
    root = str(Path(cli.__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(root)]
    own = [frame for frame in frames if f"{os.sep}bench{os.sep}" not in frame.filename]
    if not own:
        return type(error).__name__
    frame = own[-1]
    return f"{type(error).__name__} at {os.path.relpath(frame.filename, root)}:{frame.lineno} in {frame.name}"


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """The lines of standard error, also those that libraries in C write, and nothing on standard output."""
    lines = list[str]()
    with tempfile.TemporaryFile() as errors, open(os.devnull, "w") as null, contextlib.ExitStack() as stack:
        for stream, descriptor, target in ((sys.stdout, 1, null.fileno()), (sys.stderr, 2, errors.fileno())):
            stream.flush()
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            stack.callback(stream.flush)
            os.dup2(target, descriptor)
        with open(os.dup(2), "w", encoding="utf-8", errors="replace") as text, contextlib.redirect_stderr(text):
            try:
                with contextlib.redirect_stdout(null):
                    yield lines
            finally:
                text.flush()
                errors.seek(0)
                lines += errors.read().decode("utf-8", "replace").splitlines()


def _peak_memory(reset: bool = False) -> float:
    """The most memory of this process since it was reset, in megabytes; Linux alone tells."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return int(found[1]) / 1024 if found else 0.0


def attempts(inputs: Sequence[tuple[Kind, int]], seed: int) -> Iterator[Outcome]:
    """Use inputs, each a kind and an index, in child processes; one that ends its process is BROKEN."""
    at = 0
    while at < len(inputs):
        chunk = inputs[at : at + CHUNK]
        child, results = _start(chunk, seed)
        seen = 0
        with os.fdopen(results) as reader:
            for line in reader:
                yield Outcome(**json.loads(line))
                seen += 1
        status = os.waitpid(child, 0)[1]
        if seen < len(chunk):
            yield Outcome(chunk[seen][1], BROKEN, _ending(status), -1)
            seen += 1
        at += seen


def _start(inputs: Sequence[tuple[Kind, int]], seed: int) -> tuple[int, int]:
    """Start a child process that uses inputs; its id, and a pipe with a line of JSON for each outcome."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for kind, index in inputs:
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            signal.setitimer(signal.ITIMER_REAL, STUCK)
            os.write(writer, json.dumps(asdict(attempt(kind, seed, index))).encode() + b"\n")
    except BaseException:  # noqa: BLE001  # the parent process must not go on twice
        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def _ending(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"the process ended with {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGPROF:
        return f"more than {LONGEST} s of processor time"
    return "it waits without end" if number == signal.SIGALRM else f"killed by {signal.Signals(number).name}"
