"""Distributed training: the process group that torchrun starts, or one process alone."""

import contextlib
import inspect
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from infer.core.errors import ConfigError, DeviceError
from trainer.config import ResolvedConfig

T = TypeVar("T")
TIMEOUT = timedelta(hours=6)
"""How long processes wait for one another; one of them may be decoding a whole data set."""
BUFFER_SWITCHES = ("forward_sync_buffers", "broadcast_buffers")
"""DistributedDataParallel's parameter for sending buffers: torch 2.14 renamed it to the first."""


@dataclass(frozen=True)
class ProcessGroup:
    """Rank and world size of this process. In a group of one process every method does nothing."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine; also the index of its GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which prints and writes files."""
        return self.rank == 0

    @contextlib.contextmanager
    def local_main_first(self) -> Iterator[None]:
        """Run the block in one process of each machine first, such as to fill a cache for the others."""
        if self.world_size > 1 and self.local_rank != 0:
            dist.barrier()
        try:
            yield
        finally:  # after an error too: the other processes must reach the same error
            if self.world_size > 1 and self.local_rank == 0:
                dist.barrier()

    def broadcast(self, value: T) -> T:
        """The value of rank 0, in every process."""
        values = [value]
        if self.world_size > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def data_parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network, with gradients that are averaged over all processes."""
        if self.world_size == 1:
            return network
        # statistics of batch normalisation are averaged after each epoch instead
        parameters = inspect.signature(DistributedDataParallel).parameters
        switch: dict[str, Any] = {next(name for name in BUFFER_SWITCHES if name in parameters): False}
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, devices, gradient_as_bucket_view=True, **switch)

    def all_reduce(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def shard(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of the rows for this process: a contiguous piece of n / world size rows, or one more."""
        return np.array_split(rows, self.world_size)[self.rank]

    def all_gather(self, part: Tensor) -> Tensor:
        """The parts of all processes, [n_rank, ...] each, concatenated in the order of their ranks."""
        if self.world_size == 1:
            return part
        parts: list[Tensor | None] = [None] * self.world_size
        dist.all_gather_object(parts, part.cpu())
        return torch.cat([item for item in parts if item is not None])

    def average_buffers(self, network: nn.Module) -> None:
        """Replace the statistics of batch normalisation by their mean over all processes."""
        if self.world_size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer /= self.world_size


def without_gradient_sync(network: nn.Module) -> AbstractContextManager[None]:
    """Accumulate gradients in this process alone: more parts of the batch follow."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else contextlib.nullcontext()


def check_processes(settings: ResolvedConfig, device_type: str, group: ProcessGroup) -> None:
    """Check that a stage can be trained by this number of processes. Raises ConfigError."""
    parts = settings.accumulate * group.world_size
    if settings.batch_size % parts or settings.batch_size // parts < 2:
        raise ConfigError(
            f"--batch-size {settings.batch_size} must be a multiple of {group.world_size} processes times --accumulate "
            f"{settings.accumulate}, with at least 2 images for each"
        )
    if settings.sync_bn and (group.world_size == 1 or device_type != "cuda"):
        raise ConfigError(
            "--sync-bn needs several GPUs; start with torchrun --nproc-per-node N --no-python lab train ..."
        )


@contextlib.contextmanager
def process_group(device_type: str) -> Iterator[ProcessGroup]:
    """Join the process group that torchrun's environment variables describe, until the end of the block.

    Raises:
        ConfigError: the environment is not one that torchrun makes.
        DeviceError: there are too few GPUs, or torch.distributed could not be initialised.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ProcessGroup()
        return
    try:
        rank, world_size, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    except (KeyError, ValueError) as error:
        problem = f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {error} is missing or not a number"
        raise ConfigError(f"{problem}; start with torchrun, or unset WORLD_SIZE") from error
    if device_type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"there are only {torch.cuda.device_count()} GPUs; start as many processes with --nproc-per-node"
            )
        torch.cuda.set_device(local_rank)
    try:
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(
            f"could not initialise torch.distributed ({reason}); start with torchrun, or unset WORLD_SIZE"
        ) from error
    try:
        yield ProcessGroup(rank, world_size, local_rank)
    finally:
        dist.destroy_process_group()
