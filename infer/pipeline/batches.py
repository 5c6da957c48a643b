"""Decoded images in batches, in order: a decoder fills a ring of a few batches' memory ahead of the device."""

import contextlib
import mmap
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from math import ceil, prod

import numpy as np

from infer.config import Tta
from infer.core.arrays import Pixels
from infer.core.cpu import cores
from infer.core.errors import ImageError
from infer.images.archive import File
from infer.images.decode import bombs_are_errors
from infer.images.parallel_map import PROCESSES_FROM, THREADS, in_order
from infer.images.preprocess import PixelSpec
from infer.images.tta import COUNTS, read_views
from infer.model.providers import CPU, Provider

Views = tuple[Pixels, ...]
"""The views of one image for each pixel spec, uint8 [views, window H, window W, 3]."""
CPU_CHUNK = 8
"""The most files that the CPU decodes in one call."""
FEW_CORES = 4
"""With this number of workers or fewer, threads decode as fast as processes do."""


class Decoder(ABC):
    """Decodes image files to the views that the models take.

    Attributes:
        specs: the pixel specs of the models.
        tta: the views made of each image.
        workers: the number of calls of `decode` that may run at the same time.
        in_processes: whether processes make these calls, to which the decoder is pickled; otherwise threads do.
    """

    workers: int
    in_processes = False

    def __init__(self, specs: Sequence[PixelSpec], tta: Tta) -> None:
        self.specs, self.tta = tuple(specs), tta

    @abstractmethod
    def decode(self, files: Sequence[File]) -> Iterable[Views | ImageError]:
        """Decode each file, in order; an unreadable file gives its error. Raises DeviceError where the device fails."""

    @abstractmethod
    def chunk(self, batch_size: int) -> int:
        """The number of files to decode in one call."""


class CpuDecoder(Decoder):
    """Decodes with Pillow: in processes on many cores, and in threads on few, where processes gain nothing."""

    def __init__(
        self,
        specs: Sequence[PixelSpec],
        tta: Tta,
        count: int,
        workers: int | None = None,
        in_processes: bool | None = None,
    ) -> None:
        """Choose threads or processes.

        Args:
            specs: the pixel specs of the models.
            tta: the views made of each image.
            count: the number of images to decode in all; for a few, starting processes costs more than it gains.
            workers: the number of threads or processes; None: one for each core.
            in_processes: None: whichever is faster here.
        """
        super().__init__(specs, tta)
        workers = workers or cores()
        if in_processes is None:
            in_processes = os.name == "posix" and workers > FEW_CORES and count >= PROCESSES_FROM
        self.in_processes = in_processes
        self.workers = workers if in_processes else min(workers, THREADS)

    def decode(self, files: Sequence[File]) -> Iterator[Views | ImageError]:
        """Decode each file, in order, one at a time; an unreadable file gives its error."""
        return map(self.decode_file, files)

    def decode_file(self, file: File) -> Views | ImageError:
        """Decode one file; an unreadable file gives its error."""
        try:
            return tuple(read_views(file, spec, self.tta) for spec in self.specs)
        except ImageError as error:
            return error

    def chunk(self, batch_size: int) -> int:
        """A batch is spread over all workers."""
        return min(CPU_CHUNK, ceil(batch_size / self.workers))


@dataclass(frozen=True)
class Batch:
    """Decoded images; `pixels_nhwc` is overwritten when later batches are read."""

    pixels_nhwc: Views
    """For each spec the views of all readable images, uint8 [images x views, window H, window W, 3]."""
    errors: tuple[ImageError | None, ...]
    """For each image its error; None where it is readable."""


@dataclass(frozen=True)
class Task:
    """Files to decode in one call, and the ring's row for the first of them."""

    files: tuple[File, ...]
    row: int


class Ring:
    """Memory for the views of a fixed number of images. Unpickled in another process, it is the same memory.

    Attributes:
        arrays: for each spec, uint8 [rows, views, window H, window W, 3].
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], file: int | None = None) -> None:
        """Lay out arrays in new memory, or in the open file `file` of `nbytes(shapes)` bytes."""
        self.shapes, self.file = shapes, file
        memory = bytearray(nbytes(shapes)) if file is None else mmap.mmap(file, nbytes(shapes))
        self.arrays: list[Pixels] = []  # the last of them to be deleted unmaps the file
        for number, shape in enumerate(shapes):
            flat = np.frombuffer(memory, np.uint8, prod(shape), nbytes(shapes[:number]))
            self.arrays.append(flat.reshape(shape))

    def __reduce__(self) -> tuple[type["Ring"], tuple[object, ...]]:
        return Ring, (self.shapes, self.file)


def nbytes(shapes: Sequence[tuple[int, ...]]) -> int:
    """The size of uint8 arrays of these shapes."""
    return sum(map(prod, shapes))


def read_batches(
    files: Sequence[File], decoder: Decoder, size: int, held: int = 1, provider: Provider = CPU
) -> Generator[Batch, None, None]:
    """Decode all files in batches, in order, ahead of the caller; memory does not grow with their number.

    Args:
        files: paths, members of archives, or remote files.
        decoder: decodes them.
        size: the number of images in a batch, above 0; the last batch may have fewer.
        held: the number of batches whose pixels stay valid: the latest one and those before it.
        provider: runs the batches; the memory is prepared for copies to its device.

    Raises:
        DeviceError: the decoder's device fails.
    """
    if not files:
        return
    size = min(size, len(files))
    chunk = decoder.chunk(size)
    calls = ceil(size / chunk)  # for each batch
    ahead = calls + 2 * decoder.workers
    slots = min(held + ceil(ahead / calls), ceil(len(files) / size))
    shapes = [(slots * size, COUNTS[decoder.tta], *spec.window, 3) for spec in decoder.specs]
    with contextlib.ExitStack() as stack:
        stack.enter_context(bombs_are_errors())
        shared = stack.enter_context(_shared_memory(nbytes(shapes))) if decoder.in_processes else None
        ring = Ring(shapes, shared)
        for array in ring.arrays:
            stack.enter_context(provider.pin_memory(array.ctypes.data, array.nbytes))
        errors_of_calls = in_order(
            partial(_decode_into, ring, decoder),
            _tasks(files, size, chunk, slots),
            decoder.workers,
            ahead,
            decoder.in_processes,
            () if shared is None else (shared,),
        )
        stack.enter_context(contextlib.closing(errors_of_calls))
        for number, start in enumerate(range(0, len(files), size)):
            count = min(size, len(files) - start)
            errors = tuple(chain.from_iterable(islice(errors_of_calls, ceil(count / chunk))))
            row = number % slots * size
            yield Batch(tuple(_readable(array[row : row + count], errors) for array in ring.arrays), errors)


def _tasks(files: Sequence[File], size: int, chunk: int, slots: int) -> Iterator[Task]:
    """Cut batches of `size` files into chunks; batches take the ring's slots in turn."""
    for number, start in enumerate(range(0, len(files), size)):
        end = min(start + size, len(files))
        for position in range(start, end, chunk):
            row = number % slots * size + position - start
            yield Task(tuple(files[position : min(position + chunk, end)]), row)


def _readable(rows: Pixels, errors: Sequence[ImageError | None]) -> Pixels:
    """The views of the images without an error, uint8 [images x views, H, W, 3]."""
    if any(errors):
        rows = rows[[row for row, error in enumerate(errors) if error is None]]
    return rows.reshape(-1, *rows.shape[2:])


def _decode_into(ring: Ring, decoder: Decoder, task: Task) -> list[ImageError | None]:
    """Decode a task's files into the ring's rows; for each file its error, or None."""
    errors: list[ImageError | None] = []
    for row, decoded in enumerate(decoder.decode(task.files), task.row):
        if isinstance(decoded, ImageError):
            errors.append(decoded)
            continue
        for array, views in zip(ring.arrays, decoded, strict=True):
            array[row] = views
        errors.append(None)
    return errors


@contextlib.contextmanager
def _shared_memory(size: int) -> Iterator[int]:
    """Yield an open file of `size` bytes whose content processes can share."""
    with contextlib.ExitStack() as stack:
        if hasattr(os, "memfd_create"):  # not in /dev/shm, which may be small
            file = os.memfd_create("lab")
            stack.callback(os.close, file)
        else:
            file = stack.enter_context(tempfile.TemporaryFile()).fileno()
        os.ftruncate(file, size)
        yield file
