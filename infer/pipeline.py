"""Images to probabilities: decoding on several threads runs ahead of the device; answers come in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from infer.archive import File
from infer.cuda import CUDA
from infer.errors import DeviceError, ImageError
from infer.pixels import Pixels, bombs_are_errors, read_window
from infer.session import Floats, Session

DECODERS = min(8, os.cpu_count() or 1)
"""Threads; more than eight do not decode faster."""


@dataclass(frozen=True)
class Answer:
    """What became of one image: its probabilities, float32 [K], or why it has none."""

    probabilities: Floats | None = None
    error: ImageError | None = None


def read_ahead(
    files: Sequence[File], read: Callable[[File], Pixels], workers: int = DECODERS, ahead: int = 64
) -> Iterator[Pixels | ImageError]:
    """`read` of each file, in order, on `workers` threads that run at most `ahead` files in front of the caller."""
    with bombs_are_errors(), ThreadPoolExecutor(workers, "decode") as pool:
        waiting: deque[Future[Pixels | ImageError]] = deque()
        rest = iter(files)
        try:
            for file in islice(rest, ahead):
                waiting.append(pool.submit(_try_read, read, file))
            while waiting:
                yield waiting.popleft().result()
                for file in islice(rest, 1):
                    waiting.append(pool.submit(_try_read, read, file))
        finally:
            for future in waiting:
                future.cancel()


def classify(
    session: Session,
    files: Sequence[File],
    batch_size: int,
    workers: int = DECODERS,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Answer]:
    """One answer per file, in order; host memory does not grow with their number.

    Where the device's memory is exhausted, batches are halved from there on, and `say` is told.

    Raises:
        DeviceError: the device cannot run even one image.
    """
    spec = session.card.pixels
    batch_size = session.batch or batch_size
    images = read_ahead(files, lambda file: read_window(file, spec), workers, ahead=2 * batch_size + workers)
    size = session.batch or min(batch_size, max(1, len(files)))
    for _ in range(0, len(files), batch_size):
        chunk = list(islice(images, batch_size))
        good = [image for image in chunk if not isinstance(image, ImageError)]
        probabilities: list[Floats] = []
        while len(probabilities) < len(good):
            part = good[len(probabilities) : len(probabilities) + size]
            try:
                answered = _run_padded(session, np.stack(part), size)
            except DeviceError:
                if size == 1 or session.batch:
                    raise
                size = (size + 1) // 2
                say(f"the device's memory is exhausted; going on with batches of {size}")
                continue
            probabilities.extend(answered)
        answers = iter(probabilities)
        for image in chunk:
            yield Answer(error=image) if isinstance(image, ImageError) else Answer(next(answers))


def _run_padded(session: Session, pixels_nhwc: Pixels, size: int) -> Floats:
    """Probabilities of a batch. A small one is filled up to `size` where the file takes no other.

    So it is on CUDA too, as each new shape would be tuned anew.
    """
    count = len(pixels_nhwc)
    if (session.batch or session.provider == CUDA) and count < size:
        filled = np.zeros((size, *pixels_nhwc.shape[1:]), dtype=np.uint8)
        filled[:count] = pixels_nhwc
        pixels_nhwc = filled
    return session.run(pixels_nhwc)[1][:count]


def _try_read(read: Callable[[File], Pixels], file: File) -> Pixels | ImageError:
    try:
        return read(file)
    except ImageError as error:
        return error
