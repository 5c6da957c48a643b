"""Images to probabilities: decoding on several threads runs ahead of the device; answers come in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from infer.archive import File
from infer.config import Tta
from infer.cuda import CUDA
from infer.errors import DeviceError, ImageError
from infer.pixels import Pixels, bombs_are_errors
from infer.session import Floats, Session
from infer.views import COUNTS, read_views

T = TypeVar("T")
DECODERS = min(8, os.cpu_count() or 1)
"""Threads; more than eight do not decode faster."""


@dataclass(frozen=True)
class Answer:
    """What became of one image: its probabilities, float32 [K], or why it has none."""

    probabilities: Floats | None = None
    error: ImageError | None = None


def read_ahead(
    files: Sequence[File], read: Callable[[File], T], workers: int = DECODERS, ahead: int = 64
) -> Iterator[T | ImageError]:
    """`read` of each file, in order, on `workers` threads that run at most `ahead` files in front of the caller."""
    with bombs_are_errors(), ThreadPoolExecutor(workers, "decode") as pool:
        waiting: deque[Future[T | ImageError]] = deque()
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
    sessions: Sequence[Session],
    files: Sequence[File],
    batch_size: int,
    workers: int = DECODERS,
    say: Callable[[str], None] = lambda text: None,
    tta: Tta = "none",
) -> Iterator[Answer]:
    """One answer per file, in order; host memory does not grow with their number.

    With several sessions, or several views of an image, an answer is the mean of their probabilities. Where a device's
    memory is exhausted, batches are halved from there on, and `say` is told.

    Args:
        sessions: of the same classes.
        files: where the images lie.
        batch_size: images, or views, at once.
        workers: threads that decode.
        say: is told what the user should know.
        tta: which views of an image are run.

    Raises:
        DeviceError: a device cannot run even one image.
    """
    specs = list(dict.fromkeys(session.card.pixels for session in sessions))
    fixed = max(session.batch or 1 for session in sessions)
    step = max(1, batch_size // COUNTS[tta] // fixed) * fixed
    size = min(step, max(1, len(files))) * COUNTS[tta]
    runners = [(specs.index(session.card.pixels), _Runner(session, size, say)) for session in sessions]
    images = read_ahead(
        files, lambda file: [read_views(file, spec, tta) for spec in specs], workers, ahead=2 * step + workers
    )
    for _ in range(0, len(files), step):
        chunk = list(islice(images, step))
        good = [views for views in chunk if not isinstance(views, ImageError)]
        answers = iter(_mean(runners, good) if good else ())
        for views in chunk:
            yield Answer(error=views) if isinstance(views, ImageError) else Answer(next(answers))


class _Runner:
    """A session with the batch size that its device has room for."""

    def __init__(self, session: Session, size: int, say: Callable[[str], None]) -> None:
        self.session, self.say = session, say
        self.size = session.batch or size

    def run(self, pixels_nhwc: Pixels) -> Floats:
        """Probabilities [n, K] of n images of any number. Raises DeviceError."""
        answered: list[Floats] = []
        at = 0
        while at < len(pixels_nhwc):
            part = pixels_nhwc[at : at + self.size]
            try:
                answered.append(_run_padded(self.session, part, self.size))
            except DeviceError:
                if self.size == 1 or self.session.batch:
                    raise
                self.size = (self.size + 1) // 2
                self.say(f"the device's memory is exhausted; going on with batches of {self.size}")
                continue
            at += len(part)
        return np.concatenate(answered)


def _mean(runners: Sequence[tuple[int, _Runner]], views: Sequence[Sequence[Pixels]]) -> Floats:
    """Probabilities [n, K] of n images, each given as its views for every spec; averaged over views and sessions."""
    total = np.zeros(())
    for spec, runner in runners:
        answers = runner.run(np.concatenate([of_image[spec] for of_image in views]))
        total = total + answers.reshape(len(views), -1, answers.shape[1]).mean(axis=1, dtype=np.float64)
    return np.asarray(total / len(runners), dtype=np.float32)


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


def _try_read(read: Callable[[File], T], file: File) -> T | ImageError:
    try:
        return read(file)
    except ImageError as error:
        return error
