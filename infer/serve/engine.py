"""The models that a server answers with: opened from sealed files, warmed up, and run on batches of decoded images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infer.config import Device, Runtime, Tta
from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.files import sha256_of
from infer.images.preprocess import PixelSpec
from infer.images.tta import COUNTS, check_tta
from infer.model.card import ModelCard, OperatingPoint
from infer.model.open_models import open_model, require_same_classes
from infer.model.providers import CPU, Provider
from infer.model.session import Session
from infer.pipeline.batches import Views
from infer.pipeline.classify import Ensemble
from infer.reports.heatmap import activation


@dataclass(frozen=True)
class Work:
    """One image to run."""

    views: Views
    """For each pixel spec of the models, uint8 [views, window H, window W, 3]."""
    heatmap: bool = False
    """Whether the class activation map of its label is wanted; only where the engine has it."""
    accepted: float = 0.0
    """When the image was accepted, by `time.perf_counter`."""


@dataclass(frozen=True)
class Result:
    """What the models say about one image."""

    probabilities: Floats
    """float32 [K]"""
    heatmap: Floats | None = None
    """float32 [h, w], as `infer.reports.heatmap.activation` gives it."""


class Engine:
    """One model, or several whose probabilities are averaged.

    Attributes:
        card: that of the (first) model; all have its classes.
        specs: the models' pixel specs, each once.
        tta: the views of an image whose probabilities are averaged.
        sha256: of each model's file.
        at_once: the number of batches that the device runs at the same time.
    """

    def __init__(
        self, sessions: Sequence[Session], sha256: Sequence[str], max_batch: int, screen: Screen, tta: Tta = "none"
    ) -> None:
        self.sessions, self.sha256, self.tta = sessions, sha256, tta
        self.card: ModelCard = sessions[0].card
        sizes = _sizes(max_batch) if any(session.provider.pads_batches for session in sessions) else [max_batch]
        self._ensembles = {size: Ensemble(sessions, size, size, tta, screen.say) for size in sizes}
        self.specs: Sequence[PixelSpec] = self._ensembles[max_batch].specs
        self.at_once = max(_batches_at_once(session.provider) for session in sessions)

    @property
    def files(self) -> list[Path]:
        """The models' files."""
        return [session.path for session in self.sessions]

    @property
    def has_heatmaps(self) -> bool:
        """Whether the (first) model has a class activation map."""
        return self.sessions[0].has_cam

    @property
    def threshold(self) -> OperatingPoint | None:
        """The card's; None where models or views are averaged, whose probabilities it was not chosen on."""
        return self.card.operating_point if len(self.sessions) == COUNTS[self.tta] == 1 else None

    def warm_up(self) -> float:
        """Run black images in all sizes of batches; the seconds of one image after that.

        Raises:
            DeviceError, ModelError: the device fails.
        """
        for size in {1, *self._ensembles}:
            self.run([Work(self._black(), self.has_heatmaps)] * size)
        start = time.perf_counter()
        self.run([Work(self._black())])
        return time.perf_counter() - start

    def run(self, batch: Sequence[Work]) -> list[Result]:
        """Run a batch of at most `max_batch` images. Raises DeviceError, ModelError."""
        views = tuple(np.concatenate(parts) for parts in zip(*(work.views for work in batch), strict=True))
        ensemble = self._ensembles[min(size for size in self._ensembles if size >= len(batch))]
        rows = ensemble.probabilities(views, len(batch))
        return [Result(row, self._heatmap(work, row)) for row, work in zip(rows, batch, strict=True)]

    def view(self, views: Views) -> Pixels:
        """The image as the first model sees it, uint8 [window H, window W, 3]."""
        view: Pixels = views[self.specs.index(self.card.pixels)][0]
        return view

    def _heatmap(self, work: Work, probabilities: Floats) -> Floats | None:
        if not work.heatmap:
            return None
        return activation(self.sessions[0], self.view(work.views), int(probabilities.argmax()))

    def _black(self) -> Views:
        return tuple(np.zeros((COUNTS[self.tta], *spec.window, 3), dtype=np.uint8) for spec in self.specs)


def _batches_at_once(provider: Provider) -> int:
    """The batches that a provider runs at the same time: on the CPU's cores two would be half as large, and slower."""
    return 1 if provider.memory == CPU.memory else provider.batches_in_flight


def _sizes(most: int) -> list[int]:
    """1, 2, 4, ... and `most`: a batch is padded to the next of them where the provider prefers few shapes."""
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


def open_engine(
    paths: Sequence[Path | None],
    device: Device,
    runtime: Runtime,
    max_batch: int,
    screen: Screen,
    threads: int | None = None,
    say_device: bool = True,
    tta: Tta = "none",
) -> Engine:
    """Open models; a path of None is the newest exported file. Arguments are those of `open_model` and `Engine`.

    Raises:
        ModelError: a file cannot be used, has no evidence, or was changed since its export.
        ConfigError: the models have different classes, or the views do not suit a model's images.
        DeviceError: the device cannot run a model.
    """
    sessions = [open_model(path, device, runtime, screen, say_device, threads=threads) for path in paths]
    require_same_classes(sessions)
    for session in sessions:
        session.seal.require_evidence()
        check_tta(tta, session.card.pixels)
    return Engine(sessions, [session.file_sha256 for session in sessions], max_batch, screen, tta)


def same_files(engine: Engine) -> bool:
    """Whether the models' files are those that the engine opened. Raises OSError."""
    return [sha256_of(path) for path in engine.files] == list(engine.sha256)
