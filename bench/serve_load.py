"""Load on an HTTP server, from one process: clients that wait for their answers, or requests at a fixed rate.

Raw connections of asyncio, since a client library would take more of the machine than the server.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

GIVE_UP = 60.0
"""Seconds that an answer may take."""


@dataclass
class Load:
    """What came of a load."""

    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    """Seconds to each answer of status 200."""
    refused: list[float] = field(default_factory=list)
    """Seconds to each answer of status 503."""
    failed: int = 0
    """Other answers, or none."""
    processor: float = 0.0
    """Seconds of processor time that this process took, which a server on the same cores did not have."""

    @property
    def rate(self) -> float:
        """Answers of status 200 per second."""
        return len(self.answered) / self.seconds

    def add(self, status: int, seconds: float) -> None:
        """Count an answer."""
        if status == 200:
            self.answered.append(seconds)
        elif status == 503:
            self.refused.append(seconds)
        else:
            self.failed += 1


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def request_bytes(path: str, kind: str, body: bytes) -> bytes:
    """A whole HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request and read the whole answer; its status."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    size = int(head.partition("content-length:")[2].partition("\r\n")[0])
    await reader.readexactly(size)
    return int(head.split(" ", 2)[1])


class _Connections:
    """Connections that are used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes, load: Load, since: float) -> None:
        """Send a request on a free connection, and count its answer."""
        try:
            async with asyncio.timeout(GIVE_UP):
                pair = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
                status = await exchange(*pair, request)
            self._free.append(pair)
        except (OSError, EOFError, ValueError, TimeoutError):
            status = 0
        load.add(status, time.perf_counter() - since)

    async def close(self) -> None:
        """Close all of them."""
        for _, writer in self._free:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def closed_loop(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Clients that each send a request as soon as they have the answer to the last."""

    async def run() -> Load:
        load, connections, number = Load(), _Connections(port), count()
        start, processor = time.perf_counter(), time.process_time()

        async def client() -> None:
            while (now := time.perf_counter()) - start < seconds:
                await connections.ask(requests[next(number) % len(requests)], load, now)

        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds, load.processor = time.perf_counter() - start, time.process_time() - processor
        await connections.close()
        return load

    return asyncio.run(run())


def open_loop(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Load:
    """Requests at a fixed rate, whether answers come or not; times count from when a request was due."""

    async def run() -> Load:
        load, connections = Load(), _Connections(port)
        start, processor = time.perf_counter(), time.process_time()
        asked: list[asyncio.Task[None]] = []
        for number in range(int(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asking: Coroutine[Any, Any, None] = connections.ask(requests[number % len(requests)], load, due)
            asked.append(asyncio.create_task(asking))
        await asyncio.gather(*asked)
        load.seconds, load.processor = time.perf_counter() - start, time.process_time() - processor
        await connections.close()
        return load

    return asyncio.run(run())
