"""Images to probabilities: decoding runs ahead of the device on all cores; predictions come in order."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from infer.config import Tta
from infer.core.arrays import Floats, Pixels
from infer.core.errors import DeviceError, ImageError, ModelError
from infer.images.archive import File
from infer.images.parallel_map import in_order
from infer.images.preprocess import PixelSpec
from infer.images.tta import COUNTS
from infer.model.session import Session
from infer.pipeline.batches import Batch, CpuDecoder, Decoder, Views, read_batches


@dataclass(frozen=True)
class ImagePrediction:
    """The probabilities of one image, float32 [K], or the reason why it has none."""

    probabilities: Floats | None = None
    error: ImageError | None = None


class Ensemble:
    """One or several models, ready to run batches; probabilities are averaged over models and views of an image.

    Attributes:
        sessions: the models, of the same classes.
        batch_size: the largest number of views that a device is given at once.
        tta: the views of an image that are run.
        specs: the models' pixel specs, each once.
        images_per_batch: the number of images that are decoded and run at once.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        count: int,
        batch_size: int,
        tta: Tta = "none",
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepare the sessions for batches.

        Args:
            sessions: the models, of the same classes.
            count: the number of images to predict in all, before and after an interruption; no batch is larger.
            batch_size: the largest number of views that a device is given at once.
            tta: the views of an image that are run.
            say: is called with a line for the user where a batch does not fit the device.
        """
        self.sessions, self.batch_size, self.tta, self.say = sessions, batch_size, tta, say
        self.specs = pixel_specs(sessions)
        fixed = max(session.batch or 1 for session in sessions)
        self.images_per_batch = max(1, batch_size // COUNTS[tta] // fixed) * fixed
        size = min(self.images_per_batch, max(1, count)) * COUNTS[tta]
        self._runners = [Runner(session, size, say) for session in sessions]

    def probabilities(self, views: Views, count: int) -> Floats:
        """Mean probabilities, float32 [count, K], of `count` images, from their views for each of `specs`."""
        total = np.zeros(())
        for runner in self._runners:
            of_views = runner.run(views[self.specs.index(runner.session.card.pixels)])
            total = total + of_views.reshape(count, -1, of_views.shape[1]).mean(axis=1, dtype=np.float64)
        return np.asarray(total / len(self._runners), dtype=np.float32)


def pixel_specs(sessions: Sequence[Session]) -> list[PixelSpec]:
    """The pixel specs of the models, each once."""
    return list(dict.fromkeys(session.card.pixels for session in sessions))


def classify(
    ensemble: Ensemble, files: Sequence[File], decoder: Decoder | None = None
) -> Generator[ImagePrediction, None, None]:
    """Predict each file, in order; host memory does not grow with their number.

    Args:
        ensemble: the models.
        files: paths, members of archives, or remote files.
        decoder: for the ensemble's specs and views; None: the CPU decodes, on all cores.

    Raises:
        DeviceError: a device cannot run even one image.
    """
    decoder = decoder or CpuDecoder(ensemble.specs, ensemble.tta, len(files))
    at_once = max(session.provider.batches_in_flight for session in ensemble.sessions)
    provider = ensemble.sessions[0].provider
    batches = read_batches(files, decoder, ensemble.images_per_batch, held=at_once, provider=provider)
    predicted = in_order(partial(_predict_batch, ensemble), batches, at_once, ahead=at_once)
    with contextlib.closing(batches), contextlib.closing(predicted):
        for predictions in predicted:
            yield from predictions


def _predict_batch(ensemble: Ensemble, batch: Batch) -> list[ImagePrediction]:
    readable = batch.errors.count(None)
    rows = iter(ensemble.probabilities(batch.pixels_nhwc, readable) if readable else ())
    return [ImagePrediction(error=error) if error else ImagePrediction(next(rows)) for error in batch.errors]


class Runner:
    """A session, and the largest batch size that its device has memory for."""

    def __init__(self, session: Session, size: int, say: Callable[[str], None]) -> None:
        self.session, self.say = session, say
        self.size = session.batch or size
        try:
            session.prepare(self.size)
        except (DeviceError, ModelError):  # a failure that is not the capture's own appears again with the batch
            say(f"batches of {self.size} cannot be captured as CUDA graphs; continuing without")

    def run(self, pixels_nhwc: Pixels) -> Floats:
        """Probabilities, float32 [n, K], of any number n of images. Raises DeviceError."""
        parts: list[Floats] = []
        start = 0
        while start < len(pixels_nhwc):
            size = self.size
            part = pixels_nhwc[start : start + size]
            try:
                parts.append(_run_padded(self.session, part, size))
            except DeviceError:
                if size == 1 or self.session.batch:
                    raise
                if self.size == size:  # otherwise another batch, on the device at the same time, has halved it
                    self.size = (size + 1) // 2
                    self.say(f"the device's memory is exhausted; continuing with batches of {self.size}")
                continue
            start += len(part)
        return np.concatenate(parts)


def _run_padded(session: Session, pixels_nhwc: Pixels, size: int) -> Floats:
    """Probabilities of a batch, padded to `size` where the file takes no other size, or the provider prefers it.

    CUDA would search for the fastest convolutions again for each new shape.
    """
    count = len(pixels_nhwc)
    if (session.batch or session.provider.pads_batches) and count < size:
        padded = np.zeros((size, *pixels_nhwc.shape[1:]), dtype=np.uint8)
        padded[:count] = pixels_nhwc
        pixels_nhwc = padded
    return session.run(pixels_nhwc)[1][:count]
