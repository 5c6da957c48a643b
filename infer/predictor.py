"""`infer.load`: prediction for programs that embed it; the very path of `lab predict`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from infer.config import Decode, Device, Tta
from infer.core.arrays import Floats
from infer.core.errors import ConfigError, ImageError
from infer.core.knob import require
from infer.images.archive import File
from infer.images.tta import check_tta
from infer.model.card import ModelCard
from infer.model.open_models import require_same_classes
from infer.model.runs import find_model
from infer.model.session import Session
from infer.pipeline.classify import Answer, classify
from infer.tables.inputs import read_inputs

if TYPE_CHECKING:
    from infer.pipeline.decoder_comparison import Difference
    from infer.pipeline.gpu_decode import GpuReader


@dataclass(frozen=True)
class Predictions:
    """What became of n images, in their order."""

    names: tuple[str, ...]
    """[n] as they were given, or relative to the folder or archive that was."""
    labels: tuple[str | None, ...]
    """[n] the label that goes into a CSV; None where the image cannot be read."""
    probabilities: Floats
    """[n, K]; NaN where the image cannot be read."""
    errors: dict[int, ImageError]
    """Why an image cannot be read, by its place."""


class Predictor:
    """An exported model, or several whose probabilities are averaged, opened once.

    Attributes:
        card: what the (first) file says of itself: classes, pixels, provenance.
        provider: "CUDAExecutionProvider" or "CPUExecutionProvider", as ONNX Runtime reports it.
    """

    def __init__(
        self, models: Sequence[Path], device: Device = "auto", tta: Tta = "none", decode: Decode = "cpu"
    ) -> None:
        """Open ONNX files, or those in runs' folders; "gpu" decodes plain JPEGs there (see `compare_decoders`).

        Raises:
            ModelError: there is no such model, or it cannot be used.
            DeviceError: CUDA was asked for and cannot be had.
            ConfigError: a value makes no sense, the models' classes differ, or their pixels do not allow it.
            MissingExtraError: nvImageCodec is not installed, which decodes on the GPU.
        """
        if not models:
            raise ConfigError("no model was given; name an exported ONNX file, or a run")
        given = (("device", device, Device), ("tta", tta, Tta), ("decode", decode, Decode))
        for name, value, kind in given:
            known = get_args(kind)
            require(value in known, name, f"one of {', '.join(known)}", value)
        self._sessions = [Session(find_model(model), device) for model in models]
        self._tta: Tta = tta
        require_same_classes(self._sessions)
        for session in self._sessions:
            check_tta(tta, session.card.pixels)
        self.card: ModelCard = self._sessions[0].card
        self.provider: str = self._sessions[0].provider
        self._reader: GpuReader | None = None
        if decode == "gpu":
            from infer.pipeline.gpu_decode import open_reader

            self._reader = open_reader(self._sessions, tta)

    def predict(self, images: str | PathLike[str] | Iterable[str | PathLike[str]], batch_size: int = 64) -> Predictions:
        """Predict images: a sequence of files, or anything that `lab predict` takes as INPUT but standard input.

        An image that cannot be read is no error here: look at `errors`.

        Raises:
            DataError: a folder, archive, table or pattern that gives no images.
            DeviceError: the device cannot run even one image.
        """
        require(batch_size > 0, "batch_size", "above 0", batch_size)
        names, files = self._listed(images)
        answers = list(self.stream(files, batch_size))
        nothing = np.full(len(self.card.classes), np.nan, dtype=np.float32)
        rows = [nothing if answer.probabilities is None else answer.probabilities for answer in answers]
        return Predictions(
            names=tuple(names),
            labels=tuple(self._label(answer) for answer in answers),
            probabilities=np.stack(rows) if rows else np.empty((0, len(nothing)), dtype=np.float32),
            errors={place: answer.error for place, answer in enumerate(answers) if answer.error},
        )

    def stream(self, files: Sequence[File], batch_size: int = 64) -> Iterator[Answer]:
        """One answer per file, in order, as they come; memory does not grow with their number. Raises DeviceError."""
        return classify(self._sessions, files, batch_size, tta=self._tta, reader=self._reader)

    def compare_decoders(self, files: Sequence[File], batch_size: int = 64) -> "Difference":
        """What decoding on the GPU changes, seen on up to 128 of the files.

        Raises:
            DeviceError: it gives other pictures.
            ConfigError: the CPU decodes.
        """
        from infer.pipeline.decoder_comparison import compare_decoders

        if self._reader is None:
            raise ConfigError('there is nothing to compare: images are decoded on the CPU; load with decode="gpu"')
        return compare_decoders(self._sessions, files, batch_size, self._tta, self._reader)

    def _listed(
        self, images: str | PathLike[str] | Iterable[str | PathLike[str]]
    ) -> tuple[Sequence[str], Sequence[File]]:
        if isinstance(images, str | PathLike):
            inputs = read_inputs(Path(images), self.card.classes)
            return inputs.names, inputs.files
        files = [fspath(image) for image in images]
        return files, files

    def _label(self, answer: Answer) -> str | None:
        if answer.probabilities is None:
            return None
        return self.card.classes[int(answer.probabilities.argmax())].label
