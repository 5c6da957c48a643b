"""`lab serve`: opens the models, listens, and ends without losing what it has accepted."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from infer.core.console import Screen
from infer.core.errors import ConfigError, LabError, MissingExtraError
from infer.images.decode import bombs_are_errors
from infer.serve.config import ServeConfig

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from infer.serve.engine import Engine
    from infer.serve.service import Service

LOCAL = ("127.0.0.1", "::1", "localhost")
OTHER_FILES = 256
"""Open files beside the connections: libraries, models, pipes of the decoders."""
END = (signal.SIGTERM, signal.SIGINT)


def serve(config: ServeConfig, screen: Screen) -> None:
    """Serve until SIGTERM or Ctrl-C; what was accepted before is answered.

    Raises:
        ConfigError: the address cannot be listened at, or the token cannot be read.
        LabError: the models cannot be served.
        MissingExtraError: a package of the extra `serve` is not installed.
    """
    _require_packages()
    from infer.serve.access import read_token
    from infer.serve.engine import open_engine

    token = read_token(config.token_file) if config.token_file else None
    if config.engine == "ray":
        from infer.serve.ray_replicas import serve_on_ray

        with bind(config) as listener:
            port = listener.getsockname()[1]
        serve_on_ray(config, port, token, screen)
        return
    with bombs_are_errors(), bind(config) as listener:
        paths = config.models or (None,)
        engine = open_engine(paths, config.device, config.runtime, config.max_batch, screen, tta=config.tta)
        _allow_files(config.max_connections + OTHER_FILES)
        asyncio.run(run_server(config, engine, token, listener, screen))


def _require_packages() -> None:
    """Raises MissingExtraError where a package of the extra `serve` is not installed."""
    try:
        import prometheus_client
        import python_multipart
        import starlette
        import uvicorn

        _ = prometheus_client, python_multipart, starlette, uvicorn
    except ImportError as error:
        raise MissingExtraError(
            f"lab serve needs {error.name}, which is not installed; run pip install '.[serve]' in lab's folder"
        ) from error


@contextlib.contextmanager
def bind(config: ServeConfig) -> Iterator[socket.socket]:
    """A socket at the address, which does not listen yet. Raises ConfigError."""
    with contextlib.ExitStack() as stack:
        try:
            found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            if os.name == "posix":  # elsewhere it would let two servers share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except (OSError, UnicodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise ConfigError(
                f"cannot listen at {config.host}:{config.port}: {reason}; give another --host or --port"
            ) from error
        yield listener


def _allow_files(count: int) -> None:
    """Raise this process's limit of open files, as far as the system lets it."""
    if os.name != "posix":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def run_server(
    config: ServeConfig, engine: "Engine", token: bytes | None, listener: socket.socket, screen: Screen
) -> None:
    """Answer at a bound socket until a signal ends it. Raises LabError where the models cannot be warmed up."""
    from infer.serve.app import make_app
    from infer.serve.service import Service

    service = Service(config, engine, screen)
    try:
        server = _make_server(config, make_app(service, token))
        starting = asyncio.create_task(_start(service, server, address_of(listener), screen))
        with _signals(server, service):
            await server.serve(sockets=[listener])
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
    finally:
        await service.close()


def _make_server(config: ServeConfig, app: "ASGIApp") -> "uvicorn.Server":
    import uvicorn

    from infer.serve.connections import Connection

    class Limited(Connection):
        seconds, most = config.timeout, config.max_connections

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Uvicorn would end the process by the signal, as if it had failed."""
            yield

    patience = max(1, round(config.timeout))
    return Server(
        uvicorn.Config(
            cast(Any, app),  # starlette and uvicorn each have their own types of one protocol
            http=Limited,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_keep_alive=patience,
            timeout_graceful_shutdown=patience,
        )
    )


async def _start(service: "Service", server: "uvicorn.Server", address: str, screen: Screen) -> None:
    """Warm the models up and say so; end the server where they fail. Raises LabError."""
    try:
        await service.start()
    except LabError:
        server.should_exit = True
        raise
    screen.say(
        f"ready: {address}, POST {address}/v1/predict, {address}/v2/models/{quote(service.name)}; Ctrl-C ends it"
    )
    if service.config.host not in LOCAL and service.config.token_file is None:
        screen.say("note: whoever reaches this address may use it; --token-file asks for a token")


def address_of(listener: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


@contextlib.contextmanager
def _signals(server: "uvicorn.Server", service: "Service") -> Iterator[None]:
    """End the server at SIGTERM and Ctrl-C, at once at the second of them; load the models again at SIGHUP."""
    loop, reloads = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    def reload() -> None:
        reloads.add(asyncio.create_task(service.reload()))

    handlers: dict[signal.Signals, Callable[[], None]] = dict.fromkeys(END, end)
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = reload
    previous = {}
    for number, handler in handlers.items():
        with contextlib.suppress(ValueError):  # only the main thread may
            previous[number] = signal.signal(number, _threadsafe(loop, handler))
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def _threadsafe(loop: asyncio.AbstractEventLoop, handler: Callable[[], None]) -> Callable[..., None]:
    def handle(*_: object) -> None:
        loop.call_soon_threadsafe(handler)

    return handle
