"""Decoding on all cores: images become rows of one file."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infer.core.cpu import cores
from infer.core.errors import ImageError
from infer.images.decode import bombs_are_errors
from infer.images.parallel_map import PROCESSES_FROM, THREADS, in_order
from infer.images.preprocess import PixelSpec, read_canvas

CHUNK = 16
"""Images per task."""

DecodeResults = list[int | ImageError]
"""For each image, the crc32 of its canvas's bytes, or the error."""


@dataclass(frozen=True)
class Task:
    """Some images, whose canvases are consecutive in the file `out`."""

    files: tuple[str, ...]
    spec: PixelSpec
    out: str
    offset: int
    """Position of the first canvas in `out`, in bytes."""


def decode_files(
    files: Sequence[str],
    spec: PixelSpec,
    out: Path,
    offset: int,
    workers: int | None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> DecodeResults:
    """Write the canvas of `files[i]`, uint8 [canvas H, canvas W, 3], to `out` at byte `offset` + i * its size.

    No process or thread is left running, even after an error.

    Args:
        files: paths of images.
        spec: how a file becomes a canvas.
        out: an existing file; the rows of unreadable images are left as they are.
        offset: position of the first canvas in `out`, in bytes.
        workers: number of processes; None: all cores.
        on_progress: called with the number of finished images.

    Raises:
        OSError: `out` cannot be written.
    """
    size = 3 * spec.canvas[0] * spec.canvas[1]
    starts = range(0, len(files), CHUNK)
    tasks = [Task(tuple(files[start : start + CHUNK]), spec, str(out), offset + start * size) for start in starts]
    count = max(1, min(workers or cores(), len(tasks)))
    processes = count > 1 and len(files) >= PROCESSES_FROM
    if not processes and not workers:
        count = min(count, THREADS)
    results: DecodeResults = []
    with bombs_are_errors():
        for chunk in in_order(write_canvases, tasks, count, 2 * count, processes):
            results += chunk
            on_progress(len(results))
    return results


def write_canvases(task: Task) -> DecodeResults:
    """Decode a task's images into its file. Raises OSError where the file cannot be written."""
    results: DecodeResults = []
    size = 3 * task.spec.canvas[0] * task.spec.canvas[1]
    with open(task.out, "r+b") as out:
        for row, file in enumerate(task.files):
            try:
                pixels = read_canvas(file, task.spec).tobytes()
            except ImageError as error:
                results.append(error)
                continue
            out.seek(task.offset + row * size)
            out.write(pixels)
            results.append(zlib.crc32(pixels))
    return results
