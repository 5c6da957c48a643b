"""What decoding on the GPU changes: some images are decoded both ways, and pixels and answers compared."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from infer.config import Tta
from infer.core.arrays import Floats, Pixels
from infer.core.cpu import cores
from infer.core.errors import DeviceError
from infer.core.text import listed
from infer.images.archive import File
from infer.images.preprocess import bombs_are_errors
from infer.images.tta import COUNTS
from infer.model.session import Session
from infer.pipeline.batches import Batch, Reader, read_batches
from infer.pipeline.classify import Runner, average, images_a_batch, runners_of, specs_of

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
    damaged: tuple[str, ...] = ()
    """Images that only one of them could decode."""

    def told(self) -> str:
        """For people."""
        if not self.images:
            return "--decode gpu: no image that it could be compared on can be read"
        what = f"{self.labels} of {self.images} images get another label" if self.labels else "no label differs"
        only = f"; only one of both decodes {listed(self.damaged)}" if self.damaged else ""
        return (
            f"--decode gpu beside cpu, on {self.images} images: {what}; probabilities differ by at most "
            f"{self.probability:.2g}, pixels by {self.levels:.2g} of 255 on average{only}"
        )


def compare_decoders(
    sessions: Sequence[Session], files: Sequence[File], batch_size: int, tta: Tta, reader: Reader
) -> Difference:
    """Decode some of the files by the reader and by the processor, and have both answered.

    Pixels are compared with those of the processor at full scale, as the reader knows no other.

    Raises:
        DeviceError: the reader gives other pictures.
    """
    if not files:
        return Difference(0, 0, 0.0, 0.0)
    sample = [files[place] for place in np.unique(np.linspace(0, len(files) - 1, SAMPLE).astype(int))]
    size = min(images_a_batch(sessions, batch_size, tta), len(sample))
    runners = runners_of(sessions, size * COUNTS[tta], lambda text: None)
    specs = specs_of(sessions)
    in_full = [replace(spec, reduced_decode=False) for spec in specs]
    found: list[_Compared] = []
    damaged: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(bombs_are_errors())  # both ways set this, and end in the order in which they began
        read = partial(read_batches, sample, tta=tta, size=size, workers=cores())
        cpu, gpu = (
            stack.enter_context(contextlib.closing(way))
            for way in (read(specs=[*specs, *in_full]), read(specs=specs, reader=reader))
        )
        for number, (one, other) in enumerate(zip(cpu, gpu, strict=True)):
            both, single = _readable(one, other)
            damaged += [str(sample[number * size + place]) for place in single]
            if both:
                views = _of_images(one, both), _of_images(other, both)
                found.append(_compare(runners, len(both), views[0][: len(specs)], views[0][len(specs) :], views[1]))
    if not found:
        return Difference(0, 0, 0.0, 0.0, tuple(damaged))
    levels = np.concatenate([item.levels for item in found])
    if (most := float(levels.max())) > MOST_LEVELS:
        raise DeviceError(f"--decode gpu: pixels differ by {most:.0f} of 255 from the CPU's; choose --decode cpu")
    by_cpu, by_gpu = np.concatenate([item.cpu for item in found]), np.concatenate([item.gpu for item in found])
    changed = int(np.count_nonzero(by_cpu.argmax(axis=1) != by_gpu.argmax(axis=1)))
    return Difference(len(by_cpu), changed, float(np.abs(by_cpu - by_gpu).max()), float(levels.mean()), tuple(damaged))


@dataclass(frozen=True)
class _Compared:
    """Of n images the probabilities, float32 [n, K], by both decoders, and the mean difference of pixels [n]."""

    cpu: Floats
    gpu: Floats
    levels: Floats


def _compare(
    runners: Sequence[tuple[int, Runner]],
    count: int,
    cpu: Sequence[Pixels],
    cpu_in_full: Sequence[Pixels],
    gpu: Sequence[Pixels],
) -> _Compared:
    pairs = zip(cpu_in_full, gpu, strict=True)
    levels = [np.abs(a.astype(np.int16) - b).reshape(count, -1).mean(axis=1, dtype=np.float32) for a, b in pairs]
    return _Compared(average(runners, cpu, count), average(runners, gpu, count), np.asarray(np.max(levels, axis=0)))


def _readable(cpu: Batch, gpu: Batch) -> tuple[list[int], list[int]]:
    """Places of the images that both could decode, and that only one could."""
    can = [(one is None, other is None) for one, other in zip(cpu.errors, gpu.errors, strict=True)]
    return [n for n, both in enumerate(can) if all(both)], [n for n, (one, other) in enumerate(can) if one != other]


def _of_images(batch: Batch, places: Sequence[int]) -> list[Pixels]:
    """Of each spec the views of the images at some places of the batch, which could be decoded."""
    rows = [place for place, error in enumerate(batch.errors) if error is None]
    chosen = [rows.index(place) for place in places]
    return [
        array.reshape(len(rows), -1, *array.shape[1:])[chosen].reshape(-1, *array.shape[1:])
        for array in batch.pixels_nhwc
    ]
