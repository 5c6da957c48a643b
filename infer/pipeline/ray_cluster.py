"""The cluster of `--engine ray`, and the workers that it has room for.

Ray joins the cluster at $RAY_ADDRESS, whose nodes need lab installed, or starts on this machine alone.
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infer.config import Device, Runtime
from infer.core.console import captured_stderr
from infer.core.cpu import cores
from infer.core.errors import DeviceError, MissingExtraError
from infer.model.providers import CPU, CUDA, providers_for

MAX_CORES = 4
"""The most cores of a worker without a GPU: with more of them, another worker gains as much as a larger one."""
RAISED = "Ray raised: "
TRIAL = f"""
import ray, sys
try:
    ray.init(log_to_driver=False)
except Exception as error:
    sys.exit(f"{RAISED}{{error}}")
"""
"""Joins the cluster, and says what Ray raises."""


@dataclass(frozen=True)
class Pool:
    """Workers of one size, for which the cluster has room."""

    workers: int
    cpus: int
    """CPUs of each worker."""
    gpus: int
    """GPUs of each worker: 1 or 0."""

    def text(self, runtime: Runtime) -> str:
        """The workers and what runs the models on them, for people."""
        provider = CUDA if self.gpus else providers_for(CPU.device, runtime)[0]
        resources = f"{provider}, a GPU and {self.cpus} CPUs" if self.gpus else f"{provider}, {self.cpus} CPUs"
        return f"{self.workers} of Ray's workers, each with {resources}"


def plan(nodes: Sequence[Mapping[str, float]], device: Device) -> Pool:
    """The number and size of workers that a cluster has room for.

    Args:
        nodes: for each living node its resources, `CPU` and `GPU`.
        device: "auto" uses the nodes with a GPU alone, if there are any.

    Raises:
        DeviceError: `device` is cuda and there is no GPU, or no node has a CPU for a worker.
    """
    counts = [(int(node.get("GPU", 0)), int(node.get("CPU", 0))) for node in nodes]
    with_gpu = [(gpus, cpus) for gpus, cpus in counts if gpus and cpus] if device != "cpu" else []
    if device == "cuda" and not with_gpu:
        raise DeviceError("--device cuda: no node of the cluster has a GPU; choose --device cpu")
    if with_gpu:
        per_worker = max(1, min(cpus // gpus for gpus, cpus in with_gpu))
        return Pool(sum(min(gpus, cpus // per_worker) for gpus, cpus in with_gpu), per_worker, 1)
    with_cpu = [cpus for _, cpus in counts if cpus]
    if not with_cpu:
        raise DeviceError("--engine ray: no node of the cluster has a free CPU; start one with `ray start --num-cpus`")
    per_worker = min([MAX_CORES, *with_cpu])
    return Pool(sum(cpus // per_worker for cpus in with_cpu), per_worker, 0)


def start_pool(device: Device) -> Pool:
    """Join the cluster, or start Ray here, and plan the workers.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError: the cluster cannot be joined, or has no room for a worker.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors that matter are raised
    try:
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs {error.name}, which is not installed; run pip install '.[ray]' in lab's folder"
        ) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        if not ray.is_initialized():
            _join(os.environ.get("RAY_ADDRESS") or None)
        nodes: list[Any] = ray.nodes()  # type: ignore[no-untyped-call]
        return plan([node["Resources"] for node in nodes if node["Alive"]], device)
    except (OSError, RuntimeError, ValueError) as error:
        raise DeviceError(_not_started(str(error))) from error


def _join(address: str | None) -> None:
    """Join the cluster at an address, or start Ray on this machine. Raises DeviceError and what Ray raises."""
    import ray

    if address is None:
        # without one, Ray leaves a token in ~/.ray, which later clusters of this user then ask for
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        _require_reachable(address)
        _require_joinable(address)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with captured_stderr():  # Ray reports the log level that start_pool has set
        ray.init(
            address="local" if address is None else None,  # left to itself, Ray joins a cluster that it finds here
            num_cpus=cores() if address is None else None,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    with contextlib.suppress(ValueError):  # only the main thread may; Ray has replaced cli's handler
        signal.signal(signal.SIGTERM, on_sigterm)


def _require_reachable(address: str) -> None:
    """Raises DeviceError where nothing listens at host:port; Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return  # `auto`, or a client's ray://
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise DeviceError(f"--engine ray: no cluster answers at RAY_ADDRESS {address}: {error}; check it") from error


def _require_joinable(address: str) -> None:
    """Raises DeviceError where the cluster cannot be joined from here.

    Another process tries it: on a machine that is no node of the cluster Ray ends its process without a word.
    """
    environment = {**os.environ, "RAY_BACKEND_LOG_LEVEL": "warning"}
    done = subprocess.run(
        [sys.executable, "-c", TRIAL], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode and "Unauthenticated" in done.stderr:
        raise DeviceError(
            f"--engine ray: the cluster at RAY_ADDRESS {address} asks for its token; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN to what `ray get-auth-token` prints on its head"
        )
    _, raised, reason = done.stderr.rpartition(RAISED)
    if raised:
        raise DeviceError(_not_started(reason))
    if done.returncode:
        raise DeviceError(
            f"--engine ray: no node of the cluster at RAY_ADDRESS {address} runs on this machine; run lab on one of "
            f"its nodes, or make this machine one: ray start --address {address}"
        )


def _not_started(report: str) -> str:
    """The message for what Ray raised, of which the first line says why."""
    reason = report.partition("\n")[0]
    return f"--engine ray: Ray does not start: {reason}; check RAY_ADDRESS, or leave it out"
