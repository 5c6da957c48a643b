"""Decoded batches, in order: a ring of a few batches' memory that threads or processes fill ahead of the device."""

import contextlib
import mmap
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil, prod
from typing import Protocol

import numpy as np

from infer.config import Tta
from infer.core.arrays import Pixels
from infer.core.errors import ImageError
from infer.images.archive import File
from infer.images.parallel_map import FEW, THREADS, in_order
from infer.images.preprocess import PixelSpec, bombs_are_errors
from infer.images.tta import COUNTS, read_views

Read = tuple[Pixels, ...] | ImageError
"""What became of one file: for each spec its views, uint8 [views, window H, window W, 3], or why there are none."""


class Reader(Protocol):
    """What decodes files on a device of its own, for specs and views that it knows."""

    chunk: int
    """Images that it is given at once, at most."""
    lanes: int
    """Threads that may call it at once."""

    def __call__(self, files: Sequence[File]) -> Sequence[Read]:
        """What became of each file, in order."""


CHUNK = 8
"""Images a task, at most, where the processor decodes."""
FEW_CORES = 4
"""On no more cores than these, threads decode as fast as processes do."""


@dataclass(frozen=True)
class Batch:
    """Decoded images; `pixels_nhwc` is overwritten later, when others are asked for."""

    pixels_nhwc: tuple[Pixels, ...]
    """For each spec the views of the readable images, uint8 [images x views, window H, window W, 3]."""
    errors: tuple[ImageError | None, ...]
    """Of each image, readable or not."""


@dataclass(frozen=True)
class Task:
    """Some images, and the row of the ring that belongs to the first one."""

    files: tuple[File, ...]
    row: int


@dataclass(frozen=True)
class Ring:
    """How rows lie in the ring's memory: for each spec, all rows' views."""

    specs: tuple[PixelSpec, ...]
    tta: Tta
    rows: int

    def nbytes(self) -> int:
        """Bytes of the whole ring."""
        return sum(map(prod, self._shapes()))

    def arrays(self, memory: mmap.mmap | bytearray) -> list[Pixels]:
        """The ring's rows for each spec, uint8 [rows, views, window H, window W, 3], in memory of `nbytes()`."""
        found: list[Pixels] = []
        for shape in self._shapes():
            offset = sum(array.nbytes for array in found)
            found.append(np.frombuffer(memory, np.uint8, prod(shape), offset).reshape(shape))
        return found

    def _shapes(self) -> list[tuple[int, ...]]:
        return [(self.rows, COUNTS[self.tta], *spec.window, 3) for spec in self.specs]


def read_batches(
    files: Sequence[File],
    specs: Sequence[PixelSpec],
    tta: Tta,
    size: int,
    workers: int,
    processes: bool | None = None,
    held: int = 1,
    reader: Reader | None = None,
) -> Generator[Batch, None, None]:
    """All files, `size` > 0 a batch, in order; memory does not grow with their number.

    Args:
        files: where the images lie.
        specs: how each model sees them.
        tta: which views of an image are made.
        size: images a batch; the last one has fewer.
        workers: threads or processes that decode.
        processes: rather than threads; None: whichever is faster here.
        held: so many batches keep their pixels, the last one given and those before it.
        reader: decodes in place of the processor.
    """
    if processes is None:
        processes = os.name == "posix" and workers > FEW_CORES and len(files) >= FEW
    processes = processes and reader is None
    if not processes:
        workers = min(workers, THREADS)
    size = max(1, min(size, len(files)))
    chunk = max(1, min(CHUNK, ceil(size / workers)))
    if reader:
        workers, chunk = reader.lanes, min(reader.chunk, size)
    tasks_of_batch = ceil(size / chunk)
    ahead = tasks_of_batch + 2 * workers
    slots = min(held + ceil(ahead / tasks_of_batch), ceil(len(files) / size))
    ring = Ring(tuple(specs), tta, slots * size)
    with bombs_are_errors(), _memory(ring.nbytes(), processes) as (memory, shared):
        arrays = ring.arrays(memory)
        read = reader or partial(read_each, ring.specs, tta)
        fill = partial(_fill_shared, ring, shared, read) if shared is not None else partial(_fill, arrays, read)
        told = in_order(fill, _tasks(files, size, chunk, slots), workers, ahead, processes, (shared,) if shared else ())
        with contextlib.closing(told):
            for number, start in enumerate(range(0, len(files), size)):
                count = min(size, len(files) - start)
                errors = tuple(error for some in islice(told, ceil(count / chunk)) for error in some)
                first = number % slots * size
                yield Batch(tuple(_readable(rows[first : first + count], errors) for rows in arrays), errors)


def _tasks(files: Sequence[File], size: int, chunk: int, slots: int) -> Iterator[Task]:
    for number, start in enumerate(range(0, len(files), size)):
        end = min(start + size, len(files))
        for at in range(start, end, chunk):
            yield Task(tuple(files[at : min(at + chunk, end)]), number % slots * size + at - start)


def _readable(rows: Pixels, errors: Sequence[ImageError | None]) -> Pixels:
    """The views of the images without an error, one after the other."""
    if any(errors):
        rows = rows[[place for place, error in enumerate(errors) if error is None]]
    return rows.reshape(-1, *rows.shape[2:])


def read_each(specs: Sequence[PixelSpec], tta: Tta, files: Sequence[File]) -> Iterator[Read]:
    """What became of each file, decoded by the processor, one after the other."""
    for file in files:
        try:
            yield tuple(read_views(file, spec, tta) for spec in specs)
        except ImageError as error:
            yield error


def _fill(
    arrays: Sequence[Pixels], read: Callable[[Sequence[File]], Iterable[Read]], task: Task
) -> list[ImageError | None]:
    """Read a task's images into their rows; the error of each that has one."""
    errors: list[ImageError | None] = []
    for row, found in enumerate(read(task.files), task.row):
        if isinstance(found, ImageError):
            errors.append(found)
            continue
        for array, views in zip(arrays, found, strict=True):
            array[row] = views
        errors.append(None)
    return errors


def _fill_shared(
    ring: Ring, shared: int, read: Callable[[Sequence[File]], Iterable[Read]], task: Task
) -> list[ImageError | None]:
    """`_fill` by another process, which inherited the memory as an open file."""
    return _fill(ring.arrays(mmap.mmap(shared, ring.nbytes())), read, task)  # unmapped with the last array in it


@contextlib.contextmanager
def _memory(nbytes: int, shared: bool) -> Iterator[tuple[mmap.mmap | bytearray, int | None]]:
    """Memory, and where it is to be shared the open file that it is."""
    if not shared or not nbytes:
        yield bytearray(nbytes), None
        return
    with contextlib.ExitStack() as stack:
        if hasattr(os, "memfd_create"):  # not in /dev/shm, which may be small
            file = os.memfd_create("lab")
            stack.callback(os.close, file)
        else:
            file = stack.enter_context(tempfile.TemporaryFile()).fileno()
        os.ftruncate(file, nbytes)
        yield mmap.mmap(file, nbytes), file
