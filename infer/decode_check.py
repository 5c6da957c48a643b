"""What decoding on the GPU changes: some images are decoded both ways, and pixels and answers compared."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from infer.archive import File
from infer.config import Tta
from infer.cpu import cores
from infer.errors import DeviceError
from infer.pipeline import average, images_a_batch, runners_of, specs_of
from infer.pixels import Pixels
from infer.ring import Batch, Reader, read_batches
from infer.session import Floats, Session
from infer.views import COUNTS

SAMPLE = 128
"""Images that are decoded both ways, spread evenly."""
MOST_LEVELS = 4.0
"""Mean difference of an image's pixels, of 255; what is more is no rounding but another picture."""


@dataclass(frozen=True)
class Difference:
    """Between answers by pixels of the GPU and of the processor."""

    images: int
    labels: int
    """Images whose label differs."""
    probability: float
    """The largest difference of any class."""
    levels: float
    """The mean difference of the pixels, of 255."""

    def told(self) -> str:
        """For people."""
        what = f"{self.labels} of {self.images} images get another label" if self.labels else "no label differs"
        return (
            f"--decode gpu beside cpu, on {self.images} images: {what}; probabilities differ by at most "
            f"{self.probability:.2g}, pixels by {self.levels:.2g} of 255 on average"
        )


def compare_decoders(
    sessions: Sequence[Session], files: Sequence[File], batch_size: int, tta: Tta, reader: Reader
) -> Difference:
    """Decode some of the files by the reader and by the processor, and have both answered.

    Raises:
        DeviceError: the reader gives other pictures, or reads other files.
    """
    sample = [files[place] for place in np.unique(np.linspace(0, len(files) - 1, SAMPLE).astype(int))]
    size = min(images_a_batch(sessions, batch_size, tta), len(sample))
    runners = runners_of(sessions, size * COUNTS[tta], lambda text: None)
    levels: list[Floats] = []
    answers: tuple[list[Floats], list[Floats]] = ([], [])
    with contextlib.ExitStack() as stack:
        read = partial(read_batches, sample, specs_of(sessions), tta, size, cores())
        ways = [stack.enter_context(contextlib.closing(read(reader=way))) for way in (None, reader)]
        for number, batches in enumerate(zip(*ways, strict=True)):
            _require_same_files(sample[number * size :], batches)
            count = batches[0].errors.count(None)
            if not count:
                continue
            levels.append(_mean_levels(count, *(batch.pixels_nhwc for batch in batches)))
            for found, batch in zip(answers, batches, strict=True):
                found.append(average(runners, batch.pixels_nhwc, count))
    if not levels:
        return Difference(0, 0, 0.0, 0.0)
    if (most := float(np.concatenate(levels).max())) > MOST_LEVELS:
        raise DeviceError(f"--decode gpu: pixels differ by {most:.0f} of 255 from the CPU's; choose --decode cpu")
    cpu, gpu = (np.concatenate(found) for found in answers)
    changed = int(np.count_nonzero(cpu.argmax(axis=1) != gpu.argmax(axis=1)))
    return Difference(len(cpu), changed, float(np.abs(cpu - gpu).max()), float(np.concatenate(levels).mean()))


def _require_same_files(files: Sequence[File], batches: Sequence[Batch]) -> None:
    cpu, gpu = (batch.errors for batch in batches)
    for file, one, other in zip(files, cpu, gpu, strict=False):
        if (one is None) != (other is None):
            raise DeviceError(f"--decode gpu: only one of CPU and GPU can decode {file}; choose --decode cpu")


def _mean_levels(count: int, one: Sequence[Pixels], other: Sequence[Pixels]) -> Floats:
    """Mean absolute difference of each image's pixels, float32 [count]; of several specs the largest."""
    pairs = zip(one, other, strict=True)
    every = [np.abs(a.astype(np.int16) - b).reshape(count, -1).mean(axis=1, dtype=np.float32) for a, b in pairs]
    return np.asarray(np.max(every, axis=0))
