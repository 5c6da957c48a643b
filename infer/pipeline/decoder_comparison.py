"""What `--decode gpu` changes: some images are decoded on both devices, and pixels and predictions are compared."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from infer.config import Tta
from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.errors import DeviceError
from infer.core.text import listed
from infer.images.archive import File
from infer.images.decode import bombs_are_errors
from infer.model.session import Session
from infer.pipeline.batches import Batch, CpuDecoder, Decoder, Views, read_batches
from infer.pipeline.classify import Ensemble
from infer.pipeline.gpu_decode import GpuDecoder, open_gpu_decoder

SAMPLE = 128
"""The most images that are compared, spread evenly over all."""
MAX_LEVELS = 4.0
"""The largest mean difference of an image's pixels, of 255, that rounding explains; above, the images differ."""


@dataclass(frozen=True)
class Difference:
    """Differences between predictions from pixels of the GPU's decoder and of the CPU's."""

    images: int
    """Images that both could decode."""
    labels: int
    """Images whose label differs."""
    probability: float
    """The largest difference of a class's probability."""
    levels: float
    """The mean difference of the pixels, of 255."""
    damaged: tuple[str, ...] = ()
    """Images that only one of the decoders could decode."""

    def summary(self) -> str:
        """A line for the user."""
        if not self.images:
            return "--decode gpu: there is no readable image on which to compare it with --decode cpu"
        labels = f"{self.labels} of {self.images} images get another label" if self.labels else "no label differs"
        damaged = f"; only one of the decoders can read {listed(self.damaged)}" if self.damaged else ""
        return (
            f"--decode gpu compared with cpu on {self.images} images: {labels}; probabilities differ by at most "
            f"{self.probability:.2g}, pixels by {self.levels:.2g} of 255 on average{damaged}"
        )


def open_compared_decoder(
    sessions: Sequence[Session], files: Sequence[File], batch_size: int, tta: Tta, screen: Screen
) -> GpuDecoder | None:
    """Open the GPU's decoder, and say how it changes predictions; None where it can decode none of the files.

    Raises:
        DeviceError: the decoder gives different images than the CPU's.
        LabError: as `open_gpu_decoder`.
    """
    decoder = open_gpu_decoder(sessions, tta)
    difference = compare_decoders(sessions, files, batch_size, tta, decoder)
    if not decoder.on_gpu:
        screen.say(f"note: --decode gpu can decode none of {decoder.on_cpu} images, spread evenly; the CPU decodes all")
        return None
    screen.say(difference.summary())
    decoder.reset_counts()
    return decoder


def compare_decoders(
    sessions: Sequence[Session], files: Sequence[File], batch_size: int, tta: Tta, decoder: Decoder
) -> Difference:
    """Decode some of the files with `decoder` and on the CPU, and predict both.

    Pixels are compared with those that the CPU decodes at full scale, as `decoder` decodes at full scale only.

    Raises:
        DeviceError: the decoder gives different images.
    """
    if not files:
        return Difference(0, 0, 0.0, 0.0)
    sample = [files[index] for index in np.unique(np.linspace(0, len(files) - 1, SAMPLE).astype(int))]
    ensemble = Ensemble(sessions, len(sample), batch_size, tta)
    full_scale = [replace(spec, reduced_decode=False) for spec in ensemble.specs]
    on_cpu = CpuDecoder([*ensemble.specs, *full_scale], tta, len(sample))
    compared: list[_Compared] = []
    damaged: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(bombs_are_errors())  # each reader sets and resets this too, not in the order of a stack
        cpu_batches, gpu_batches = (
            stack.enter_context(contextlib.closing(read_batches(sample, item, ensemble.images_per_batch)))
            for item in (on_cpu, decoder)
        )
        start = 0
        for cpu, gpu in zip(cpu_batches, gpu_batches, strict=True):
            both, single = _readable(cpu, gpu)
            damaged += [str(sample[start + index]) for index in single]
            if both:
                compared.append(_compare(ensemble, len(both), _views_of(cpu, both), _views_of(gpu, both)))
            start += len(cpu.errors)
    return _difference(compared, damaged)


@dataclass(frozen=True)
class _Compared:
    """Probabilities of n images from both decoders, float32 [n, K], and their mean differences of pixels, [n]."""

    cpu: Floats
    gpu: Floats
    levels: Floats


def _compare(ensemble: Ensemble, count: int, cpu: Views, gpu: Views) -> _Compared:
    """Compare `count` images; `cpu` holds their views for all specs, and then for all specs at full scale."""
    pairs = zip(cpu[len(gpu) :], gpu, strict=True)
    levels = [np.abs(a.astype(np.int16) - b).reshape(count, -1).mean(axis=1, dtype=np.float32) for a, b in pairs]
    return _Compared(
        ensemble.probabilities(cpu[: len(gpu)], count),
        ensemble.probabilities(gpu, count),
        np.asarray(np.max(levels, axis=0)),
    )


def _difference(compared: Sequence[_Compared], damaged: Sequence[str]) -> Difference:
    """Raises DeviceError where an image's pixels differ by more than MAX_LEVELS."""
    if not compared:
        return Difference(0, 0, 0.0, 0.0, tuple(damaged))
    levels = np.concatenate([item.levels for item in compared])
    if (largest := float(levels.max())) > MAX_LEVELS:
        raise DeviceError(f"--decode gpu: pixels differ by {largest:.0f} of 255 from the CPU's; choose --decode cpu")
    cpu, gpu = np.concatenate([item.cpu for item in compared]), np.concatenate([item.gpu for item in compared])
    labels = int(np.count_nonzero(cpu.argmax(axis=1) != gpu.argmax(axis=1)))
    return Difference(len(cpu), labels, float(np.abs(cpu - gpu).max()), float(levels.mean()), tuple(damaged))


def _readable(cpu: Batch, gpu: Batch) -> tuple[list[int], list[int]]:
    """The indices in the batch of images that both decoders read, and of images that only one of them reads."""
    pairs = [(a is None, b is None) for a, b in zip(cpu.errors, gpu.errors, strict=True)]
    return [k for k, pair in enumerate(pairs) if all(pair)], [k for k, (a, b) in enumerate(pairs) if a != b]


def _views_of(batch: Batch, indices: Sequence[int]) -> tuple[Pixels, ...]:
    """For each spec the views of the images at these indices of the batch, which are readable."""
    readable = [index for index, error in enumerate(batch.errors) if error is None]
    rows = [readable.index(index) for index in indices]
    return tuple(
        array.reshape(len(readable), -1, *array.shape[1:])[rows].reshape(-1, *array.shape[1:])
        for array in batch.pixels_nhwc
    )
