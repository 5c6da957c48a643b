"""Prediction on a cluster: the single machine's pipeline on each worker, spread by Ray Data, answers in order.

Ray starts on this machine alone, or joins the cluster that $RAY_ADDRESS names, whose nodes need lab installed.
"""

import contextlib
import logging
import os
import pickle
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infer.config import Device, PredictConfig, Tta
from infer.core.console import captured_stderr
from infer.core.cpu import cores
from infer.core.errors import DeviceError, LabError, MissingExtraError
from infer.images.archive import File
from infer.model.cuda import CPU, CUDA
from infer.model.session import Session
from infer.pipeline.classify import Answer, classify

if TYPE_CHECKING:
    import pyarrow
    import ray

CORES = 4
"""Of a worker, at most: what the network gains from more of them, another worker gains too."""
BATCHES = 8
"""A worker is given so many batches of images at once; within these decoding runs ahead of the network."""


@dataclass(frozen=True)
class Pool:
    """Workers of one size; together they never ask for more than the cluster has."""

    workers: int
    cpus: int
    """Of each."""
    gpus: int
    """Of each: 1 or 0."""

    def __str__(self) -> str:
        what = f"{CUDA}, a GPU and {self.cpus} CPUs" if self.gpus else f"{CPU}, {self.cpus} CPUs"
        return f"{self.workers} of Ray's workers, each with {what}"


def plan(nodes: Sequence[Mapping[str, float]], device: Device) -> Pool:
    """How many workers of what size a cluster has room for.

    Args:
        nodes: of each living node its resources, `CPU` and `GPU`.
        device: "auto" takes GPUs if any node has one, and then those nodes alone.

    Raises:
        DeviceError: there is no GPU and cuda was asked for, or no node has a CPU for a worker.
    """
    gpus = [(int(node.get("GPU", 0)), int(node.get("CPU", 0))) for node in nodes]
    with_gpu = [(gpu, cpu) for gpu, cpu in gpus if gpu and cpu] if device != "cpu" else []
    if device == "cuda" and not with_gpu:
        raise DeviceError("--device cuda: no node of the cluster has a GPU; choose --device cpu")
    if with_gpu:
        cpus = max(1, min(cpu // gpu for gpu, cpu in with_gpu))
        return Pool(sum(min(gpu, cpu // cpus) for gpu, cpu in with_gpu), cpus, 1)
    counts = [cpu for _, cpu in gpus if cpu]
    if not counts:
        raise DeviceError("no node of the cluster has a free CPU; start one with `ray start --num-cpus`")
    cpus = min([CORES, *counts])
    return Pool(sum(cpu // cpus for cpu in counts), cpus, 0)


class Worker:
    """The models, opened once on one worker of the cluster."""

    def __init__(
        self, models: Sequence["ray.ObjectRef[list[bytes]]"], device: Device, pool: Pool, batch_size: int, tta: Tta
    ) -> None:
        """`models`: the ONNX files' content, in a list as a reference, so that no node needs to see another's disk."""
        import ray

        contents = ray.get(models[0])
        self.pool, self.batch_size, self.tta = pool, batch_size, tta
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.onnx" for number in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            self.sessions = [Session(path, device, threads=None if pool.gpus else pool.cpus) for path in paths]

    def __call__(self, rows: "pyarrow.Table") -> "pyarrow.Table":
        """Pickled files to pickled answers."""
        import pyarrow

        files = [pickle.loads(cell.as_py()) for cell in rows["file"]]
        answers = classify(self.sessions, files, self.batch_size, self.pool.cpus, tta=self.tta)
        return pyarrow.table({"answer": [pickle.dumps((item.probabilities, item.error)) for item in answers]})


def classify_on_cluster(
    config: PredictConfig, sessions: Sequence[Session], files: Sequence[File], size: int, say: Callable[[str], None]
) -> Generator[Answer, None, None]:
    """`infer.pipeline.classify.classify` by Ray's workers: the same answers in the same order.

    Args:
        config: its device is where each worker opens the models.
        sessions: whose model files are sent to the workers.
        files: where the images lie, as the workers see them.
        size: images a batch.
        say: is told what works.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError, ModelError: as on one machine, from any worker.
    """
    pool = start_pool(config.device)
    why = " (no node of the cluster has a GPU)" if config.device == "auto" and not pool.gpus else ""
    say(f"device: {pool}{why}")
    import pyarrow
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    blocks = [
        pyarrow.table({"file": [pickle.dumps(file) for file in files[start : start + BATCHES * size]]})
        for start in range(0, len(files), BATCHES * size)
    ]
    models = ray.put([session.path.read_bytes() for session in sessions])
    answered = ray.data.from_arrow(blocks).map_batches(
        Worker,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(pool.workers, len(blocks))),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
        fn_constructor_args=([models], "cuda" if pool.gpus else "cpu", pool, config.batch_size, config.tta),
    )
    try:
        for block in answered.iter_batches(batch_size=None, batch_format="pyarrow"):
            for cell in block["answer"]:
                probabilities, error = pickle.loads(cell.as_py())
                yield Answer(probabilities, error)
    except Exception as error:  # Ray wraps what a worker raised, several times
        raise _cause(error) from error


def start_pool(device: Device) -> Pool:
    """Join the cluster, or start Ray here, and plan its workers.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError: the cluster cannot be joined, or has no room for a worker.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised
    try:
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs {error.name}, which is not installed; run pip install '.[ray]' in lab's folder"
        ) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    joins = "RAY_ADDRESS" in os.environ
    _require_answer(os.environ.get("RAY_ADDRESS", ""))
    stopped = signal.getsignal(signal.SIGTERM)
    try:
        if not ray.is_initialized():
            with captured_stderr():  # it tells of the level that was just asked for
                ray.init(
                    num_cpus=None if joins else cores(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            with contextlib.suppress(ValueError):  # in the main thread alone; Ray has put its own in place of cli's
                signal.signal(signal.SIGTERM, stopped)
        nodes: list[Any] = ray.nodes()  # type: ignore[no-untyped-call]
        return plan([node["Resources"] for node in nodes if node["Alive"]], device)
    except (OSError, RuntimeError, ValueError) as error:
        what = str(error).partition("\n")[0]
        raise DeviceError(f"--engine ray: Ray does not start: {what}; check RAY_ADDRESS, or leave it out") from error


def _require_answer(address: str) -> None:
    """Raises DeviceError where nobody answers at host:port; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return  # `auto`, or a client's ray://
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise DeviceError(f"--engine ray: no cluster answers at RAY_ADDRESS {address}: {error}; check it") from error


def _cause(error: BaseException) -> LabError:
    """The error of lab's own below those of Ray, or one that tells Ray's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, LabError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__
    what = str(error).strip().rpartition("\n")[2]
    return DeviceError(f"--engine ray: a worker failed: {what}; leave --engine out to see more")
