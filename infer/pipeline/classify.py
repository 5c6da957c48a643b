"""Images to probabilities: decoding on all cores runs ahead of the device; answers come in order."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from infer.config import Tta
from infer.core.arrays import Floats, Pixels
from infer.core.cpu import cores
from infer.core.errors import DeviceError, ImageError, ModelError
from infer.images.archive import File
from infer.images.parallel_map import in_order
from infer.images.preprocess import PixelSpec
from infer.images.tta import COUNTS
from infer.model.cuda import CUDA
from infer.model.provider_options import AT_ONCE
from infer.model.session import Session
from infer.pipeline.batches import Batch, Reader, read_batches


@dataclass(frozen=True)
class Answer:
    """What became of one image: its probabilities, float32 [K], or why it has none."""

    probabilities: Floats | None = None
    error: ImageError | None = None


def classify(
    sessions: Sequence[Session],
    files: Sequence[File],
    batch_size: int,
    workers: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    tta: Tta = "none",
    reader: Reader | None = None,
    total: int | None = None,
) -> Iterator[Answer]:
    """One answer per file, in order; host memory does not grow with their number.

    With several sessions, or several views of an image, an answer is the mean of their probabilities. Where a device's
    memory is exhausted, batches are halved from there on, and `say` is told.

    Args:
        sessions: of the same classes.
        files: where the images lie.
        batch_size: images, or views, at once.
        workers: threads or processes that decode; None: as many as there are cores.
        say: is told what the user should know.
        tta: which views of an image are run.
        reader: decodes in place of the processor, for `specs_of` these sessions and these views.
        total: of how many files these are the last, where others have been answered for; None: these are all.

    Raises:
        DeviceError: a device cannot run even one image.
    """
    step = images_a_batch(sessions, batch_size, tta)
    runners = runners_of(sessions, min(step, max(1, total or len(files))) * COUNTS[tta], say)
    at_once = max(AT_ONCE.get(session.provider, 1) for session in sessions)
    batches = read_batches(files, specs_of(sessions), tta, step, workers or cores(), held=at_once, reader=reader)
    done = in_order(partial(_answer, runners), batches, at_once, ahead=at_once)
    with contextlib.closing(batches), contextlib.closing(done):
        for answers in done:
            yield from answers


def _answer(runners: Sequence[tuple[int, "Runner"]], batch: Batch) -> list[Answer]:
    good = batch.errors.count(None)
    answers = iter(average(runners, batch.pixels_nhwc, good) if good else ())
    return [Answer(error=error) if error else Answer(next(answers)) for error in batch.errors]


def specs_of(sessions: Sequence[Session]) -> list[PixelSpec]:
    """How the models see images; each way once."""
    return list(dict.fromkeys(session.card.pixels for session in sessions))


def images_a_batch(sessions: Sequence[Session], batch_size: int, tta: Tta) -> int:
    """So many images are decoded, and answered for, at once."""
    fixed = max(session.batch or 1 for session in sessions)
    return max(1, batch_size // COUNTS[tta] // fixed) * fixed


def runners_of(sessions: Sequence[Session], size: int, say: Callable[[str], None]) -> "list[tuple[int, Runner]]":
    """Each session with batches of `size` views, and the place of its spec in `specs_of` all."""
    specs = specs_of(sessions)
    return [(specs.index(session.card.pixels), Runner(session, size, say)) for session in sessions]


class Runner:
    """A session with the batch size that its device has room for."""

    def __init__(self, session: Session, size: int, say: Callable[[str], None]) -> None:
        self.session, self.say = session, say
        self.size = session.batch or size
        try:
            session.prepare(self.size)
        except (DeviceError, ModelError):  # if it is not the recording alone that fails, the batch itself will find out
            say(f"batches of {self.size} cannot be recorded as CUDA graphs; going on without")

    def run(self, pixels_nhwc: Pixels) -> Floats:
        """Probabilities [n, K] of n images of any number. Raises DeviceError."""
        answered: list[Floats] = []
        at = 0
        while at < len(pixels_nhwc):
            size = self.size
            part = pixels_nhwc[at : at + size]
            try:
                answered.append(_run_padded(self.session, part, size))
            except DeviceError:
                if size == 1 or self.session.batch:
                    raise
                if self.size < size:  # another batch, on the device at the same time, has found out already
                    continue
                self.size = (size + 1) // 2
                self.say(f"the device's memory is exhausted; going on with batches of {self.size}")
                continue
            at += len(part)
        return np.concatenate(answered)


def average(runners: Sequence[tuple[int, Runner]], views: Sequence[Pixels], count: int) -> Floats:
    """Probabilities [count, K] of images whose views are given for every spec; averaged over views and sessions."""
    total = np.zeros(())
    for spec, runner in runners:
        answers = runner.run(views[spec])
        total = total + answers.reshape(count, -1, answers.shape[1]).mean(axis=1, dtype=np.float64)
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
