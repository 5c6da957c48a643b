"""Hostile requests to `lab serve`, and whether anything breaks, leaks or gets stuck.

    python bench/serve_hostile.py MODEL DIR [--requests 10000] [--connections 1000] [--seed 0] [--options tta flips]

Images with changed, lost or repeated bytes; bodies that end early, come a byte at a time, or have another length than
they say; forms, JSON and tensors that are nonsense; heads that are not HTTP; and all the while connections that send
nothing. In the middle one decoder is killed. In the end the server must give the answer that it gave before, have as
many decoders, few open files, nothing that waits, and nothing on its standard error.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from machine import machine
from serve import ROOT, as_options, memory_of, wait_for
from serve_load import exchange, request_bytes

sys.path.insert(0, str(ROOT))

from infer.images.listing import list_images

AT_ONCE = 64
"""Requests on their way at the same time, beside the idle connections."""
PATIENCE = 30.0
"""Seconds in which an answer must come, or the connection end."""
TIMEOUT = 5
"""Seconds that the server gives a client."""

Request = tuple[bytes, float]
"""What is sent, and the seconds between its parts of a few bytes; 0: all at once."""
Make = Callable[[random.Random, bytes], Request]


def mutated(chance: random.Random, image: bytes) -> bytes:
    """An image with changed, lost, repeated or added bytes."""
    content = bytearray(image)
    for _ in range(chance.randint(1, 20)):
        at = chance.randrange(max(1, len(content)))
        content[at : at + 1] = bytes([chance.randrange(256)])
    if chance.random() < 0.3:
        del content[chance.randrange(len(content)) :]
    if chance.random() < 0.2:
        at = chance.randrange(max(1, len(content)))
        content[at:at] = content[: chance.randrange(500)]
    return bytes(content)


def as_image(chance: random.Random, image: bytes) -> Request:
    """A mutated image as it is."""
    return request_bytes("/v1/predict", "image/png", mutated(chance, image)), 0


def as_json(chance: random.Random, image: bytes) -> Request:
    """A mutated image in JSON, some of which is broken."""
    body = json.dumps([base64.b64encode(mutated(chance, image)).decode()]).encode()
    return request_bytes("/v1/predict", "application/json", mutated(chance, body) if chance.random() < 0.5 else body), 0


def as_form(chance: random.Random, image: bytes) -> Request:
    """A broken form."""
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + image + b"\r\n--x--\r\n"
    return request_bytes("/v1/predict", "multipart/form-data; boundary=x", mutated(chance, part)), 0


def as_tensor(chance: random.Random, image: bytes) -> Request:
    """A broken tensor."""
    entry = {"name": "files", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(image).decode()]}
    body = mutated(chance, json.dumps({"inputs": [entry]}).encode())
    return request_bytes(f"/v2/models/{chance.choice(['m', 'model'])}/infer", "application/json", body), 0


def truncated(chance: random.Random, image: bytes) -> Request:
    """A request that ends early."""
    whole = request_bytes("/v1/predict", "image/png", image)
    return whole[: chance.randrange(1, len(whole))], 0


def wrong_length(chance: random.Random, image: bytes) -> Request:
    """A body of another length than it says."""
    whole = request_bytes("/v1/predict", "image/png", image)
    length = chance.choice([0, 1, len(image) // 2, len(image) + 7, 10**12, -5])
    return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % length, whole), 0


def slow(chance: random.Random, image: bytes) -> Request:
    """A request that comes a few bytes at a time."""
    return request_bytes("/v1/predict", "image/png", image)[: chance.randrange(1, 400)], 0.2


def nonsense(chance: random.Random, image: bytes) -> Request:
    """What is not HTTP."""
    return chance.randbytes(chance.randrange(1, 2000)) + b"\r\n\r\n", 0


KINDS: tuple[Make, ...] = (as_image, as_image, as_json, as_form, as_tensor, truncated, wrong_length, slow, nonsense)


async def attack(port: int, images: Sequence[bytes], count: int, idle: int, seed: int) -> Counter[str]:
    """Send requests, some at a time, beside idle connections; how many got which status, or the end of the connection.

    Raises:
        TimeoutError: the server neither answered a request nor closed its connection.
    """
    chance, found, turns = random.Random(seed), Counter[str](), asyncio.Semaphore(AT_ONCE)
    waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(idle)]

    async def send(request: Request) -> None:
        async with turns:
            found[await one(port, request)] += 1

    idlers = [asyncio.create_task(send_nothing(port, *pair)) for pair in waiting]
    await asyncio.gather(*(send(chance.choice(KINDS)(chance, chance.choice(images))) for _ in range(count)))
    for idler in idlers:
        idler.cancel()
    ends = await asyncio.gather(*idlers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), "a connection could not be opened again"
    return found


async def send_nothing(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep a connection open without sending anything; when the server closes it, open another, until cancelled.

    Raises:
        OSError: the server takes no connection.
    """
    while True:
        try:
            with contextlib.suppress(ConnectionError):
                await reader.read()
        finally:
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)


async def one(port: int, request: Request) -> str:
    """Send one request; the status of its answer, or `closed`."""
    content, pause = request
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for at in range(0, len(content), 8) if pause else ():
                writer.write(content[at : at + 8])
                await asyncio.sleep(pause)
                if writer.is_closing():
                    return "closed"
            return str(await exchange(reader, writer, b"" if pause else content))
        except (OSError, EOFError, ValueError, IndexError):
            return "closed"
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def main() -> None:
    """Start a server, attack it, and look at what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a file that lab exported")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of images")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", nargs="*", default=[], metavar="WORD", help="of lab serve: NAME VALUE ...")
    args = parser.parse_args()
    images = [(args.folder / name).read_bytes() for name in list_images(args.folder)[:16]]
    options = ["--device", "cpu", "--timeout", str(TIMEOUT), "--port", "8765", *as_options(args.options)]
    with tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", "cli", "serve", str(args.model.resolve()), *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            wait_for(8765, "/ready", process)
            before, decoders, memory = answer(images[0]), children(process.pid), memory_of(process.pid)
            found = Counter[str]()
            for part in range(4):
                quarter = attack(8765, images, args.requests // 4, args.connections, args.seed + part)
                found += asyncio.run(quarter)
                print(f"{sum(found.values())} requests: {memory_of(process.pid):.0f} MB", flush=True)
                if part == 1:
                    os.kill(children(process.pid)[0], signal.SIGKILL)
            assert answer(images[0]) == before, "the answer has changed"
            assert len(children(process.pid)) == len(decoders), "a decoder is missing"
            values = metrics()
            assert values["lab_queue_images"] == values["lab_request_bytes"] == 0, "something is still waiting"
            print(f"{machine()}; {dict(sorted(found.items()))}; open files {values['process_open_fds']:.0f}; ", end="")
            print(f"memory {memory:.0f} MB before, {memory_of(process.pid):.0f} MB after")
        finally:
            process.terminate()
            status = process.wait(60)
        errors.seek(0)
        assert not (said := errors.read()), said
        print(f"nothing on standard error; exit status {status}")


def answer(image: bytes) -> bytes:
    """The server's answer for an image."""
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request("http://127.0.0.1:8765/v1/predict", image, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        content: bytes = response.read()
    return content


def metrics() -> dict[str, float]:
    """The server's metrics without labels."""
    with urllib.request.urlopen("http://127.0.0.1:8765/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    pairs = (line.split(" ") for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in pairs}


def children(pid: int) -> list[int]:
    """The processes that any thread of a process has started."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


if __name__ == "__main__":
    main()
