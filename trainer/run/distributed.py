"""One process of training, or one of several that PyTorch's launcher started."""

import contextlib
import inspect
import os
from collections.abc import Iterator, Sequence
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
PATIENCE = timedelta(hours=6)
"""How long the processes wait for one of them, which may be decoding a whole data set."""
BUFFER_SWITCHES = ("forward_sync_buffers", "broadcast_buffers")


@dataclass(frozen=True)
class World:
    """Which of how many processes this is. One alone is a world of size 1, in which every method does nothing."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes of this machine; also the number of its GPU."""

    @property
    def writes(self) -> bool:
        """Whether this is the process that prints and writes files."""
        return self.rank == 0

    @contextlib.contextmanager
    def one_first(self) -> Iterator[None]:
        """Let one process of each machine go through first, such as to fill a cache that the others then find."""
        if self.size > 1 and self.local_rank != 0:
            dist.barrier()
        try:
            yield
        finally:  # after an error too: the others shall meet it themselves
            if self.size > 1 and self.local_rank == 0:
                dist.barrier()

    def agreed(self, value: T) -> T:
        """The first process's value, everywhere."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network, with gradients that are averaged over all processes."""
        if self.size == 1:
            return network
        # statistics of normalisation are averaged after each epoch instead; torch 2.14 renamed the switch
        named = inspect.signature(DistributedDataParallel).parameters
        unsent: dict[str, Any] = {next(name for name in BUFFER_SWITCHES if name in named): False}
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, devices, gradient_as_bucket_view=True, **unsent)

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def shard(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of the rows that is for this process: one piece without gaps, of n / size rows or one more."""
        return np.array_split(rows, self.size)[self.rank]

    def gathered(self, part: Tensor) -> Tensor:
        """The parts of all processes, [n_rank, ...] each, one after the other."""
        if self.size == 1:
            return part
        parts: list[Tensor | None] = [None] * self.size
        dist.all_gather_object(parts, part.cpu())
        return torch.cat([item for item in parts if item is not None])

    def average_buffers(self, network: nn.Module) -> None:
        """Make the normalisation statistics the mean of all processes'."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer /= self.size


def unsynchronised(network: nn.Module) -> AbstractContextManager[None]:
    """While gradients stay with this process, as there are more parts of the batch to come."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else contextlib.nullcontext()


def check_world(settings: ResolvedConfig, device_type: str, world: World) -> None:
    """See that a stage can be trained by so many processes. Raises ConfigError."""
    parts = settings.accumulate * world.size
    if settings.batch_size % parts or settings.batch_size // parts < 2:
        raise ConfigError(
            f"--batch-size {settings.batch_size} must be a multiple of {world.size} processes times --accumulate "
            f"{settings.accumulate}, with 2 images or more for each"
        )
    if settings.sync_bn and (world.size == 1 or device_type != "cuda"):
        raise ConfigError(
            "--sync-bn needs several GPUs; start with torchrun --nproc-per-node N --no-python lab train ..."
        )


@contextlib.contextmanager
def joined(device_type: str) -> Iterator[World]:
    """The world that torchrun's environment tells of, joined until the end of the block.

    Raises:
        ConfigError: the environment is not one that torchrun makes.
        DeviceError: there are too few GPUs, or the processes cannot meet.
    """
    names: Sequence[str] = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield World()
        return
    try:
        rank, size, local_rank = (int(os.environ[name]) for name in names)
    except (KeyError, ValueError) as error:
        told = f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {error} is missing or no number"
        raise ConfigError(f"{told}; start with torchrun, or unset WORLD_SIZE") from error
    if device_type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"there are {torch.cuda.device_count()} GPUs; start as many processes with --nproc-per-node"
            )
        torch.cuda.set_device(local_rank)
    try:
        dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        what = str(error).partition("\n")[0]
        raise DeviceError(
            f"the processes cannot meet ({what}); start them with torchrun, or unset WORLD_SIZE"
        ) from error
    try:
        yield World(rank, size, local_rank)
    finally:
        dist.destroy_process_group()
