"""Images/s and latency of `lab serve` beside LitServe and a plain FastAPI app, with one ONNX file and one load.

    python bench/serve.py MODEL DIR [--litserve PYTHON] [--fastapi PYTHON] [--runtime auto]
                           [--clients 64] [--seconds 15] [--rounds 3]

LitServe and FastAPI run in interpreters of their own environments:

    pip install litserve onnxruntime pillow numpy
    pip install fastapi uvicorn onnxruntime pillow numpy

In turns, each server alone, with the load from this process on the same cores:

    closed loop   clients that each send one image (JSON, base64) as soon as they have the last answer
    open loop     `lab serve` alone, with --open-options such as max-wait auto: one client, then --open-clients, which
                  should be no more than it accepts at once, then a fixed rate of 0.2 and of 3 times what these reach.
                  The p99 of the answers at 3 times is compared with twice that of one client plus --max-delay

`lab predict` is its pipeline over the same files in this process, without writing a CSV. Medians of rounds. Memory is
that of the server with its child processes, after the load.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

from machine import installed, machine
from serve_load import Load, closed_loop, open_loop, percentile, request_bytes

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.config import RUNTIMES, Runtime  # noqa: E402
from infer.core.cpu import processor  # noqa: E402
from infer.images.listing import list_images  # noqa: E402
from infer.model.providers import AUTO  # noqa: E402
from infer.model.session import Session  # noqa: E402
from infer.pipeline.classify import Ensemble, classify  # noqa: E402
from infer.serve.config import ServeConfig  # noqa: E402

BATCH = 32
STARTS = 120
"""Seconds that a server may take until it listens."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a file that lab exported, for the CPU")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of images")
    parser.add_argument("--litserve", metavar="PYTHON", help="an interpreter that has LitServe")
    parser.add_argument("--fastapi", metavar="PYTHON", help="an interpreter that has FastAPI")
    parser.add_argument("--runtime", choices=RUNTIMES, default=AUTO, help="of lab serve and lab predict")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=256, help="of the folder, again and again if it has fewer")
    parser.add_argument("--open-options", nargs="*", default=[], metavar="WORD", help="of lab serve: NAME VALUE ...")
    parser.add_argument("--open-clients", type=int, metavar="N", help="as many as --clients if not given")
    parser.add_argument("--nice", type=int, default=0, help="of this process while it is the load of the open loops")
    parser.add_argument("--only-open", action="store_true", help="measure the open loops alone")
    args = parser.parse_args()
    files = list(islice(cycle(str(args.folder / name) for name in list_images(args.folder)), args.images))
    versions = ", ".join(f"{name} {installed(name)}" for name in ("onnxruntime-gpu", "uvicorn", "starlette"))
    print(f"{processor()}, {machine()}, {versions}; {args.clients} clients, {args.seconds:g} s, {args.rounds} rounds")
    bodies = [base64.b64encode(Path(file).read_bytes()).decode() for file in files]
    servers = commands(args)
    rates, loads = [], {name: list[tuple[Load, float]]() for name in servers}
    for _ in range(0 if args.only_open else args.rounds):
        rates.append(predict_rate(args.model, files, args.runtime))
        for name, command in servers.items():
            requests = requests_for(name, bodies)
            with running(command) as (port, pid):
                closed_loop(port, requests, args.clients, 2)
                loads[name].append((closed_loop(port, requests, args.clients, args.seconds), memory_of(pid)))
    if not args.only_open:
        print_closed(loads, statistics.median(rates))
    options = as_options(args.open_options)
    clients = args.open_clients or args.clients
    print_open(servers["lab serve"] + options, requests_for("lab serve", bodies), clients, args.seconds, args.nice)


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """The command of each server, which is given a port."""
    here, model = Path(__file__).parent, str(args.model.resolve())
    options = ["--device", "cpu", "--runtime", args.runtime, "--max-batch", str(BATCH)]
    queue = ["--max-queue", str(max(256, args.clients))]
    found = {"lab serve": [sys.executable, "-m", "cli", "serve", model, *options, *queue, "--port", "PORT"]}
    if args.litserve:
        found["LitServe"] = [args.litserve, str(here / "serve_litserve.py"), model, "PORT", str(BATCH)]
    if args.fastapi:
        found["FastAPI"] = [args.fastapi, str(here / "serve_fastapi.py"), model, "PORT"]
    return found


def as_options(words: Sequence[str]) -> list[str]:
    """NAME VALUE ... as options of a command line."""
    return [f"--{word}" if index % 2 == 0 else word for index, word in enumerate(words)]


def requests_for(name: str, bodies: Sequence[str]) -> list[bytes]:
    """The requests of one image each, as a server takes them."""
    if name == "lab serve":
        return [request_bytes("/v1/predict", "application/json", json.dumps([body]).encode()) for body in bodies]
    return [request_bytes("/predict", "application/json", json.dumps({"image": body}).encode()) for body in bodies]


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Run a server until the block ends; its port and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    words = [str(port) if word == "PORT" else word for word in command]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(port, "/ready" if "serve" in command else "/docs", process)
        yield port, process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        kill_session(process)


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a server: LitServe's workers outlive it, and would share the cores with the next one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(port: int, path: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a path answers 200. Raises RuntimeError."""
    end = time.monotonic() + STARTS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server does not answer {path}; its exit status is {process.poll()}")


def memory_of(pid: int) -> float:
    """Resident megabytes of a process with all of its child processes."""
    parents, pages = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)], pages[int(stat.parent.name)] = int(fields[1]), int(fields[21])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(pages.get(member, 0) for member in family) * os.sysconf("SC_PAGE_SIZE") / 1e6


def predict_rate(model: Path, files: Sequence[str], runtime: Runtime) -> float:
    """Images/s of `lab predict`."""
    ensemble = Ensemble([Session(model, "cpu", runtime=runtime)], len(files), 64)
    sum(1 for _ in classify(ensemble, files[:64]))
    start = time.perf_counter()
    return sum(1 for _ in classify(ensemble, files)) / (time.perf_counter() - start)


def print_closed(loads: Mapping[str, Sequence[tuple[Load, float]]], predicted: float) -> None:
    """Print the closed loops beside the images/s of `lab predict`."""
    print("\n| closed loop | images/s | of lab predict | p50 | p99 | failed | memory |\n|---|---|---|---|---|---|---|")
    print(f"| lab predict | {predicted:.1f} | 100% | | | | |")
    for name, found in loads.items():
        print(closed_row(name, found, predicted))


def closed_row(name: str, found: Sequence[tuple[Load, float]], predicted: float) -> str:
    """One row of the table of closed loops."""
    rate, p50, p99 = (
        statistics.median(values)
        for values in zip(
            *((load.rate, percentile(load.answered, 0.5), percentile(load.answered, 0.99)) for load, _ in found),
            strict=True,
        )
    )
    failed = sum(load.failed + len(load.refused) for load, _ in found)
    memory = statistics.median(memory for _, memory in found)
    times = f"{1000 * p50:.0f} ms | {1000 * p99:.0f} ms"
    return f"| {name} | {rate:.1f} | {rate / predicted:.0%} | {times} | {failed} | {memory:.0f} MB |"


def print_open(command: Sequence[str], requests: Sequence[bytes], clients: int, seconds: float, nice: int = 0) -> None:
    """Print the open loops, after closed loops of the same server, with its limits: of one client, and of several."""
    heads = (
        "load",
        "requests/s",
        "answered/s",
        "p50",
        "p99",
        "refused",
        "p99 of refusals",
        "failed",
        "client",
        "memory",
    )
    print(f"\n{' '.join(command[command.index('serve') + 2 :])}\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    with running(command) as (port, pid):
        os.nice(nice)
        closed_loop(port, requests, clients, 2)

        def measure(name: str, run: Callable[..., Load], count: float) -> Load:
            before = memory_of(pid)
            load = run(port, requests, count, seconds)
            print(open_row(name, load, before, memory_of(pid)), flush=True)
            return load

        unloaded = measure("1 client", closed_loop, 1)
        reached = measure(f"{clients} clients", closed_loop, clients).rate
        measure("0.2 times", open_loop, 0.2 * reached)
        overload = measure("3 times", open_loop, 3 * reached)
    bound = 2 * percentile(unloaded.answered, 0.99) + max_delay(command)
    found = percentile(overload.answered, 0.99)
    print(f"p99 at 3 times: {1000 * found:.0f} ms, {'below' if found < bound else 'NOT below'} {1000 * bound:.0f} ms")


def max_delay(command: Sequence[str]) -> float:
    """Seconds that an image waits for others by a server's options."""
    milliseconds = command[command.index("--max-delay") + 1] if "--max-delay" in command else ServeConfig().max_delay
    return float(milliseconds) / 1000


def open_row(name: str, load: Load, before: float, after: float) -> str:
    """One row of the table of open loops, with the server's megabytes before and after."""
    total = len(load.answered) + len(load.refused) + load.failed
    cells = (
        name,
        f"{total / load.seconds:.1f}",
        f"{load.rate:.1f}",
        f"{1000 * percentile(load.answered, 0.5):.0f} ms",
        f"{1000 * percentile(load.answered, 0.99):.0f} ms",
        f"{len(load.refused) / max(1, total):.0%}",
        f"{1000 * percentile(load.refused, 0.99):.0f} ms",
        str(load.failed),
        f"{load.processor / load.seconds:.0%} of a core",
        f"{before:.0f} to {after:.0f} MB",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
