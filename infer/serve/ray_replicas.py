"""`lab serve --engine ray`: Ray Serve runs the service in replicas, each on a GPU or a few cores of a cluster.

A replica is the application of one machine, with its own queue, decoders and models; Ray Serve listens, and gives each
request to the replica with fewer of them. The cluster is that of `lab predict --engine ray`.
"""

import contextlib
import io
import logging
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from infer.core.console import SILENT, Screen
from infer.core.errors import ConfigError, DeviceError, MissingExtraError
from infer.core.temporary import temporary_folder
from infer.images.decode import bombs_are_errors
from infer.model.open_models import without_auto
from infer.model.providers import ONNXRUNTIME_LIBRARY
from infer.pipeline.ray_cluster import Pool, start_pool
from infer.pipeline.ray_engine import require_self_contained, write_models
from infer.serve.app import make_app
from infer.serve.config import ServeConfig
from infer.serve.engine import Engine, open_engine
from infer.serve.service import Service

if TYPE_CHECKING:
    import ray
    from starlette.applications import Starlette

NAME = "lab"
"""Of the application in Ray Serve."""
NO_RELOAD = "SIGHUP: replicas do not load changed files; end lab serve and start it again"


@dataclass(frozen=True)
class Replicas:
    """What each replica needs; it is pickled."""

    config: ServeConfig
    token: bytes | None
    pool: Pool
    files: tuple[Path, ...]
    """The models' files, where lab serve found them."""
    contents: "tuple[ray.ObjectRef[Any]]"
    """Of these files, so that no node needs another's disk."""

    def make_app(self) -> "Starlette":
        """The application of one replica, which is ready when its lifespan has begun."""
        from ray import serve

        kept = contextlib.ExitStack()
        folder = kept.enter_context(temporary_folder())  # until the service ends: runtimes may read a file again
        engine = self._open(folder)
        engine.warm_up()  # of an error here Ray Serve reports the reason, of one in the lifespan only that there is one
        service = Service(self.config, engine, SILENT, serve.get_replica_context().replica_id.unique_id)

        @contextlib.asynccontextmanager
        async def lifespan(_: object) -> AsyncIterator[None]:
            with bombs_are_errors():
                await service.start()
                try:
                    yield
                finally:
                    await service.close()
                    kept.close()

        return make_app(service, self.token, lifespan)

    def _open(self, folder: Path) -> Engine:
        import ray

        copies = write_models(ray.get(self.contents[0]), folder)
        config, pool = self.config, self.pool
        device, threads = ("cuda", None) if pool.gpus else ("cpu", pool.cpus)
        engine = open_engine(copies, device, config.runtime, config.max_batch, SILENT, threads, tta=config.tta)
        for session, path in zip(engine.sessions, self.files, strict=True):
            session.path = path  # which answers and the page name
        return engine


def serve_on_ray(config: ServeConfig, port: int, token: bytes | None, screen: Screen) -> None:
    """Serve until SIGTERM or Ctrl-C; what was accepted before is answered.

    Args:
        config: `decoders` is by default one per core of a replica.
        port: a free one of this machine.
        token: which clients must send, or None.
        screen: where lines appear.

    Raises:
        ConfigError: Ray Serve runs on the cluster already.
        LabError: the models cannot be served, there is no room for them, or Ray does not start.
        MissingExtraError: a package of the extra `ray` is not installed.
    """
    _require_ray_serve()
    runtime = without_auto(config.runtime)
    engine = open_engine(config.models or (None,), "cpu", runtime, 1, screen, say_device=False, tta=config.tta)
    require_self_contained(engine.sessions)
    with _ray(config.device if runtime == ONNXRUNTIME_LIBRARY else "cpu") as pool:
        import ray

        contents = (ray.put([path.read_bytes() for path in engine.files]),)
        decoders = pool.cpus if config.decoders is None else config.decoders
        name = config.name or engine.files[0].stem
        replicas = Replicas(
            replace(config, models=(), name=name, runtime=runtime, decoders=decoders),
            token,
            pool,
            tuple(engine.files),
            contents,
        )
        screen.say(f"device: {pool.text(runtime)}")
        with _ended_by_signals(screen) as ended, _deployed(replicas, port):
            address = f"http://{f'[{config.host}]' if ':' in config.host else config.host}:{port}"
            screen.say(
                f"ready: {address}, POST {address}/v1/predict, {address}/v2/models/{quote(name)}; Ctrl-C ends it"
            )
            ended.wait()


def _require_ray_serve() -> None:
    """Raises MissingExtraError where Ray or what Ray Serve needs is not installed."""
    try:
        import ray.serve

        _ = ray.serve
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs {error.name}, which is not installed; run pip install '.[ray]' in lab's folder"
        ) from error


@contextlib.contextmanager
def _ray(device: str) -> Iterator[Pool]:
    """Join the cluster, or start Ray here, until the block ends. Raises ConfigError, DeviceError."""
    pool = start_pool(device)
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    try:
        if serve.status().proxies:
            raise ConfigError(
                "--engine ray: Ray Serve runs on this cluster already, at its own address; end it with serve shutdown, "
                "or name another cluster in RAY_ADDRESS"
            )
        yield pool
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _deployed(replicas: Replicas, port: int) -> Iterator[None]:
    """Run the replicas until the block ends; then answer what they have accepted. Raises LabError."""
    import ray
    from ray import serve

    config, pool = replicas.config, replicas.pool

    def build() -> "Starlette":  # Ray Serve calls a plain function in each replica, and takes anything else as the app
        return replicas.make_app()

    make_deployment = serve.deployment(
        name=NAME,
        num_replicas=pool.workers,
        ray_actor_options={"num_cpus": pool.cpus, "num_gpus": pool.gpus},
        # a replica refuses what it cannot answer itself, in lab's form: it must be asked
        max_ongoing_requests=config.max_connections,
        max_queued_requests=config.max_connections,
        graceful_shutdown_timeout_s=config.timeout,
        graceful_shutdown_wait_loop_s=0.1,
        max_constructor_retry_count=1,
        logging_config={"log_level": "ERROR", "enable_access_log": False},
    )
    try:
        serve.start(http_options={"host": config.host, "port": port}, logging_config={"log_level": "ERROR"})
        try:
            serve.run(make_deployment(serve.ingress(build)()).bind(), name=NAME)
        except RuntimeError as error:
            raise DeviceError(f"--engine ray: no replica starts: {_reason(error)}") from error
        yield
        serve.delete(NAME)  # returns when the replicas have answered
    finally:
        with contextlib.redirect_stdout(io.StringIO()):  # Ray prints that the controller has gone, which this ends
            serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()


def _reason(error: Exception) -> str:
    """What a replica raised: the last line of Ray Serve's report, without the type; else the error's own text."""
    from ray import serve

    applications = serve.status().applications.values()
    reports = [deployment.message for item in applications for deployment in item.deployments.values()]
    last = "".join(reports[:1] or [str(error)]).strip().rpartition("\n")[2]
    return re.sub(r"^[\w.]+: ", "", last)


@contextlib.contextmanager
def _ended_by_signals(screen: Screen) -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; at the second of them Python's own handlers act."""
    ended = threading.Event()

    def end(number: int, _: object) -> None:
        signal.signal(number, previous[number])
        ended.set()

    handlers: dict[int, Callable[[int, Any], None]] = {signal.SIGTERM: end, signal.SIGINT: end}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = lambda *_: screen.say(NO_RELOAD)
    previous = {}
    for number, handler in handlers.items():
        with contextlib.suppress(ValueError):  # only the main thread may
            previous[number] = signal.signal(number, handler)
    try:
        yield ended
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
