"""Decoding on all cores: many images at once become rows of one file."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infer.core.cpu import cores
from infer.core.errors import ImageError
from infer.images.parallel_map import FEW, THREADS, in_order
from infer.images.preprocess import PixelSpec, bombs_are_errors, read_canvas

CHUNK = 16
"""Images a task."""

Marks = list[int | ImageError]
"""For each image the crc32 of its canvas's bytes, or why it has none."""


@dataclass(frozen=True)
class Task:
    """Some images, and the place in the file of the first one's canvas."""

    files: tuple[str, ...]
    spec: PixelSpec
    out: str
    offset: int


def decode_files(
    files: Sequence[str],
    spec: PixelSpec,
    out: Path,
    offset: int,
    workers: int | None,
    on_done: Callable[[int], None] = lambda done: None,
) -> Marks:
    """Write the canvas of `files[i]`, uint8 [canvas H, canvas W, 3], to `out` at byte `offset` + i * its size.

    `out` exists; the rows of unreadable images are left as they are. `workers` None means all cores; `on_done` is told
    how many images are finished. No process or thread is left, whatever happens.

    Raises:
        OSError: `out` cannot be written.
    """
    size = 3 * spec.canvas[0] * spec.canvas[1]
    starts = range(0, len(files), CHUNK)
    tasks = [Task(tuple(files[start : start + CHUNK]), spec, str(out), offset + start * size) for start in starts]
    count = max(1, min(workers or cores(), len(tasks)))
    processes = count > 1 and len(files) >= FEW
    if not processes and not workers:
        count = min(count, THREADS)
    marks: Marks = []
    with bombs_are_errors():
        for some in in_order(write_canvases, tasks, count, 2 * count, processes):
            marks += some
            on_done(len(marks))
    return marks


def write_canvases(task: Task) -> Marks:
    """Decode a task's images into its file. Raises OSError where the file cannot be written."""
    marks: Marks = []
    size = 3 * task.spec.canvas[0] * task.spec.canvas[1]
    with open(task.out, "r+b") as out:
        for row, file in enumerate(task.files):
            try:
                pixels = read_canvas(file, task.spec).tobytes()
            except ImageError as error:
                marks.append(error)
                continue
            out.seek(task.offset + row * size)
            out.write(pixels)
            marks.append(zlib.crc32(pixels))
    return marks
