"""A server in a thread of the test's process, and a client of it."""

import asyncio
import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from rich.console import Console

import infer.serve.server
from infer.core.console import Screen
from infer.images.decode import bombs_are_errors
from infer.serve.config import ServeConfig
from infer.serve.engine import open_engine
from infer.serve.server import address_of, bind, run_server
from infer.serve.service import Service

MAKE_SERVER, START = infer.serve.server._make_server, Service.start
"""As they are: a test may run a server within another's time."""


@dataclass
class Served:
    """A server that answers."""

    url: str
    client: httpx.Client
    service: Service
    loop: asyncio.AbstractEventLoop
    said: io.StringIO

    def reload(self) -> None:
        asyncio.run_coroutine_threadsafe(self.service.reload(), self.loop).result(30)


def config_for(*models: Path, **values: object) -> ServeConfig:
    """A small server at a free port, with threads as decoders."""
    return ServeConfig(**{"models": models, "port": 0, "device": "cpu", "decoders": 0, "max_batch": 8, **values})


@contextlib.contextmanager
def served(*models: Path, token: bytes | None = None, **values: object) -> Iterator[Served]:
    """Serve models until the block ends."""
    config, said = config_for(*models, **values), io.StringIO()
    screen = Screen(Console(file=said, width=200))
    found: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch, bombs_are_errors(), bind(config) as listener:

        def keep_server(*arguments: object) -> object:
            found["server"] = MAKE_SERVER(*arguments)
            return found["server"]

        async def keep_service(self: Service) -> None:
            await START(self)
            found.update(service=self, loop=asyncio.get_running_loop())

        patch.setattr(infer.serve.server, "_make_server", keep_server)
        patch.setattr(Service, "start", keep_service)
        engine, url = (
            open_engine(config.models, config.device, config.runtime, config.max_batch, screen, tta=config.tta),
            address_of(listener),
        )
        thread = threading.Thread(target=lambda: asyncio.run(run_server(config, engine, token, listener, screen)))
        thread.start()
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                wait_until_ready(client)
                yield Served(url, client, found["service"], found["loop"], said)
        finally:
            found["server"].should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def wait_until_ready(client: httpx.Client) -> None:
    """Wait for as long as Ray Serve's start may take on a machine that is busy with other tests."""
    for _ in range(2400):
        with contextlib.suppress(httpx.TransportError):
            if client.get("/ready").status_code == 200:
                return
        threading.Event().wait(0.05)
    raise TimeoutError("the server is not ready after 120 s")


def form(*paths: Path) -> list[tuple[str, tuple[str, bytes]]]:
    """Files of a multipart form."""
    return [("images", (path.name, path.read_bytes())) for path in paths]
