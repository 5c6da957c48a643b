"""Nodes of a Ray cluster on one machine: whether their rows and answers are those of one, also when a node is lost.

    python bench/ray_nodes.py MODEL DIR [--nodes 2] [--cpus 2] [--images 1200] [--seconds 60]     as root, with iproute2

Each node is `ray start` in a network namespace of its own, with its own address and its own folder for Ray's files; on
all but the first the model's folder is hidden, as another machine would not have it. On the first run `lab predict
--engine ray`, whose CSVs must be those of `--engine local`, and `lab serve --engine ray`, which clients ask at each
node's address. Then the same once more, while every process of the last node is killed.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from machine import installed, machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from infer.images.listing import list_images  # noqa: E402

NETWORK, BRIDGE, PORT, SERVED = "10.77.0", "labray", 6379, 8123
CLIENTS = 8
TOKEN = secrets.token_hex(32)
"""Which Ray asks every process of the cluster for."""
CPU = ("--device", "cpu", "--runtime", "onnxruntime")
WORKERS = ("ray::MapWorker", "ray::ServeReplica")
"""How the titles of the processes begin that hold models."""


class Node(NamedTuple):
    """A node of the cluster."""

    name: str
    """Of its network namespace."""
    address: str

    def command(self, *words: object) -> list[str]:
        """A command that runs on it."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def processes(self) -> list[int]:
        """The ids of all processes on it."""
        return [int(word) for word in run(["ip", "netns", "pids", self.name]).split()]

    def workers(self) -> int:
        """Number of processes on it that hold models."""
        return sum(title(pid).startswith(WORKERS) for pid in self.processes())

    def kill(self) -> None:
        """End it as a loss of power would."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of images")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=2, help="that Ray is told of for each node")
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--seconds", type=float, default=60, help="of the clients' load")
    args = parser.parse_args()
    print(f"{machine()}, ray {installed('ray')}; {args.nodes} nodes, {args.cpus} CPUs each")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        images, model = scratch / "images", scratch / "model" / "model.onnx"
        images.mkdir()
        model.parent.mkdir()
        shutil.copy(args.model, model)
        for file in list_images(args.folder)[: args.images]:
            os.symlink((args.folder / file).resolve(), images / Path(file).name)
        alone = predicted(lab("predict", images, "--engine", "local"), model, scratch / "alone")
        for is_lost in (False, True):
            with cluster(args.nodes, args.cpus, model.parent) as nodes:
                print(prediction(nodes, images, model, scratch / f"ray{is_lost:d}", alone, is_lost), flush=True)
            with cluster(args.nodes, args.cpus, model.parent) as nodes:
                print(service(nodes, images, model, args.seconds, is_lost), flush=True)


def prediction(nodes: Sequence[Node], images: Path, model: Path, out: Path, alone: bytes, is_lost: bool) -> str:
    """What came of a prediction on the cluster."""
    with ThreadPoolExecutor(1) as pool:
        command = nodes[0].command(*lab("predict", images, "--engine", "ray"))
        rows = pool.submit(predicted, command, model, out)
        most, is_killed = [0] * len(nodes), False
        while not rows.done():
            most = [max(*pair) for pair in zip(most, (node.workers() for node in nodes), strict=True)]
            if is_lost and most[-1] and not is_killed:
                time.sleep(4)  # for its first images
                is_killed = not rows.done()
                nodes[-1].kill()
            time.sleep(0.2)
        same = rows.result() == alone
    return f"predict: workers on each node {most}{lost(is_killed)}: {'the same CSVs' if same else 'OTHER CSVs'}"


def service(nodes: Sequence[Node], images: Path, model: Path, seconds: float, is_lost: bool) -> str:
    """What came of a load on the service of the cluster."""
    command = lab("serve", model, "--engine", "ray", "--host", "0.0.0.0", "--port", SERVED, *CPU)
    bodies = [base64.b64encode((images / name).read_bytes()).decode() for name in list_images(images)[:16]]
    with subprocess.Popen(nodes[0].command(*command), env=environment(), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        next(line for line in server.stdout if line.startswith("ready: "))
        workers = [node.workers() for node in nodes]
        for node in nodes:
            wait_until_ready(node)
        end = time.monotonic() + seconds
        asked = [Asked() for _ in range(CLIENTS)]
        threads = [
            threading.Thread(target=client.ask, args=(nodes[number % len(nodes)].address, bodies, end))
            for number, client in enumerate(asked)
        ]
        readiness = Counter[int]()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if is_lost and time.monotonic() > end - 0.7 * seconds and nodes[-1].processes():
                nodes[-1].kill()
            readiness[ask(nodes[0].address, "GET", "/ready")[0]] += 1
            time.sleep(0.2)
        left = [node.workers() for node in nodes]
        server.send_signal(signal.SIGTERM)
        server.stdout.read()
    answers = {pair for client in asked for pair in client.answers}
    ended = f"in the end {left}; exit status {server.returncode}"
    lines = [f"serve: replicas on each node {workers}{lost(is_lost)}, {ended}"]
    for number, node in enumerate(nodes):
        found = asked[number :: len(nodes)]
        statuses = sum((client.statuses for client in found), Counter[int]())
        slowest = max(client.slowest for client in found)
        lines.append(f"  at {node.address}: {dict(statuses)} (0: no answer), slowest {slowest:.1f} s")
    lines.append(f"  /ready at {nodes[0].address}: {dict(readiness)}; {len(answers)} answers to {len(bodies)} images")
    return "\n".join(lines)


class Asked:
    """A client, and what it got."""

    def __init__(self) -> None:
        self.statuses, self.slowest, self.answers = Counter[int](), 0.0, set[tuple[str, bytes]]()

    def ask(self, address: str, bodies: Sequence[str], end: float) -> None:
        """Ask until the end."""
        for body in cycle(bodies):
            start = time.monotonic()
            if start > end:
                return
            status, answer = ask(address, "POST", "/v1/predict", json.dumps([body]).encode())
            self.statuses[status] += 1
            self.slowest = max(self.slowest, time.monotonic() - start)
            if status == 200:
                self.answers.add((body, answer))
            else:
                time.sleep(0.1)


def ask(address: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """A request's status and answer; status 0 where none came."""
    connection = http.client.HTTPConnection(address, SERVED, timeout=60)
    try:
        connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def wait_until_ready(node: Node) -> None:
    """Raises RuntimeError where a node's address does not answer."""
    for _ in range(300):
        if ask(node.address, "GET", "/ready")[0] == 200:
            return
        time.sleep(0.2)
    raise RuntimeError(f"{node.address} does not answer /ready")


@contextlib.contextmanager
def cluster(count: int, cpus: int, hidden: Path) -> Iterator[list[Node]]:
    """Nodes on a bridge of this machine, until the block ends."""
    nodes = [Node(f"{BRIDGE}{number}", f"{NETWORK}.{number}") for number in range(1, count + 1)]
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--num-cpus", cpus]
    files = hidden.parent / "ray"
    files.mkdir(exist_ok=True)
    with contextlib.ExitStack() as left:
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
        left.callback(run, ["ip", "link", "delete", BRIDGE])
        run(["ip", "address", "add", f"{NETWORK}.254/24", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])
        for number, node in enumerate(nodes):
            left.enter_context(connected(node))
            head = ["--head", "--port", PORT, "--include-dashboard", "false", "--temp-dir", files]
            words = [*ray, "--address", f"{nodes[0].address}:{PORT}"] if number else [*ray, *head]
            mounts = f"mount -t tmpfs none {files} && mount -t tmpfs none {hidden} &&" if number else ""
            command = node.command("sh", "-c", f'{mounts} exec "$@"', "sh", *words, "--node-ip-address", node.address)
            left.enter_context(subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL))
            left.callback(node.kill)
            wait_until_up(nodes[0])
        yield nodes


@contextlib.contextmanager
def connected(node: Node) -> Iterator[None]:
    """A node's namespace, with an address on the bridge, until the block ends."""
    outer, inner = f"{node.name}o", f"{node.name}i"
    with contextlib.ExitStack() as left:
        run(["ip", "netns", "add", node.name])
        left.callback(run, ["ip", "netns", "delete", node.name])
        run(["ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", node.name])
        left.callback(run, ["ip", "link", "delete", outer])
        run(["ip", "link", "set", outer, "master", BRIDGE, "up"])
        for words in (["address", "add", f"{node.address}/24", "dev", inner], ["link", "set", inner, "up"]):
            run(node.command("ip", *words))
        run(node.command("ip", "link", "set", "lo", "up"))
        run(node.command("ip", "route", "add", "default", "via", f"{NETWORK}.254"))
        yield


def wait_until_up(head: Node) -> None:
    """Wait until the cluster listens, and a while for what joins it. Raises RuntimeError."""
    for _ in range(60):
        with contextlib.suppress(OSError):
            socket.create_connection((head.address, PORT), timeout=1).close()
            time.sleep(8)
            return
        time.sleep(1)
    raise RuntimeError(f"Ray does not listen at {head.address}:{PORT}")


def predicted(command: Sequence[str], model: Path, out: Path) -> bytes:
    """The CSVs that a command of `lab predict` writes. Raises CalledProcessError."""
    out.mkdir()
    files = ["--out", str(out / "s.csv"), "--probabilities", str(out / "p.csv")]
    run([*command, "--model", str(model), "--no-sample", *CPU, "--batch-size", "4", *files])
    return (out / "s.csv").read_bytes() + (out / "p.csv").read_bytes()


def lab(*words: object) -> list[str]:
    """A command of lab."""
    return [sys.executable, "-m", "cli", *map(str, words)]


def environment() -> dict[str, str]:
    """That of every process here."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    return {**os.environ, **token, "RAY_ADDRESS": f"{NETWORK}.1:{PORT}", "PYTHONUNBUFFERED": "1"}


def run(command: Sequence[object]) -> str:
    """Run a command of the system or of lab; what it prints. Raises CalledProcessError."""
    done = subprocess.run(
        [*map(str, command)], env=environment(), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def title(pid: int) -> str:
    """A process's title, "" where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def lost(is_lost: bool) -> str:
    """For people."""
    return ", the last one killed" if is_lost else ""


if __name__ == "__main__":
    main()
