"""`infer.load`: prediction from a program, by the pipeline of `lab predict`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from infer.config import Decode, Device, Runtime, Tta
from infer.core.arrays import Floats
from infer.core.errors import ConfigError, ImageError
from infer.core.knob import require
from infer.images.archive import File
from infer.images.tta import check_tta
from infer.model.card import ModelCard
from infer.model.open_models import require_same_classes
from infer.model.providers import check_runtime
from infer.model.runs import find_model
from infer.model.seal import changed_notes
from infer.model.session import Session
from infer.pipeline.classify import Ensemble, ImagePrediction, classify
from infer.tables.inputs import read_inputs

if TYPE_CHECKING:
    from infer.pipeline.decoder_comparison import Difference
    from infer.pipeline.gpu_decode import GpuDecoder


@dataclass(frozen=True)
class Predictions:
    """Predictions of n images, in order."""

    names: tuple[str, ...]
    """[n] the paths as given, or relative to the given folder or archive."""
    labels: tuple[str | None, ...]
    """[n] the most probable label, as in the CSV; None where the image cannot be read."""
    probabilities: Floats
    """[n, K]; NaN where the image cannot be read."""
    errors: dict[int, ImageError]
    """The errors of unreadable images, by their index."""


class Predictor:
    """One exported model, or several whose probabilities are averaged, opened once.

    Attributes:
        card: the card of the (first) model: classes, pixel spec, provenance.
        provider: "CUDAExecutionProvider" or "CPUExecutionProvider", as ONNX Runtime reports it, or "OpenVINO".
        changes: for each model file that was changed since its export, that it was, and how.
    """

    def __init__(
        self,
        models: Sequence[Path],
        device: Device = "auto",
        tta: Tta = "none",
        decode: Decode = "cpu",
        runtime: Runtime = "auto",
        accept_changed: bool = False,
    ) -> None:
        """Open the models.

        Args:
            models: ONNX files, or runs that have one.
            device: "cuda" fails where CUDA is not available; "auto" then takes the CPU.
            tta: test-time augmentation: the views of each image whose probabilities are averaged.
            decode: "gpu" decodes plain JPEGs on the GPU, which can change predictions: see `compare_decoders`.
            runtime: "openvino" fails where a file's evidence does not name it; "auto" takes the fastest that it names.
            accept_changed: open model files that were changed since their export; `changes` has what was changed.

        Raises:
            ModelError: a model does not exist, was changed since its export, or cannot be used.
            DeviceError: `device` is "cuda", or `decode` is "gpu", and CUDA is not available; or `runtime` cannot run a
                file.
            ConfigError: an argument is none of its choices, the models' classes differ, or their pixel specs do not
                allow `tta` or `decode`.
            MissingExtraError: `decode` is "gpu", and nvImageCodec is not installed.
        """
        if not models:
            raise ConfigError("no model was given; name an exported ONNX file, or a run")
        kinds = {"device": Device, "tta": Tta, "decode": Decode, "runtime": Runtime}
        values = {"device": device, "tta": tta, "decode": decode, "runtime": runtime}
        for name, kind in kinds.items():
            choices = get_args(kind)
            require(values[name] in choices, name, f"one of {', '.join(choices)}", values[name])
        check_runtime(device, runtime)
        paths = [find_model(model) for model in models]
        self._arguments = ([path.resolve() for path in paths], device, tta, decode, runtime, accept_changed)
        self._sessions = [
            Session(path, device, runtime=runtime, accept_changed=accept_changed, accept_option="accept_changed=True")
            for path in paths
        ]
        self._tta: Tta = tta
        require_same_classes(self._sessions)
        for session in self._sessions:
            check_tta(tta, session.card.pixels)
        self.changes: tuple[str, ...] = changed_notes([session.seal for session in self._sessions])
        self.card: ModelCard = self._sessions[0].card
        self.provider: str = self._sessions[0].provider.name
        self._decoder: GpuDecoder | None = None
        if decode == "gpu":
            from infer.pipeline.gpu_decode import open_gpu_decoder

            self._decoder = open_gpu_decoder(self._sessions, tta)

    def __reduce__(self) -> tuple[type["Predictor"], tuple[Sequence[Path], Device, Tta, Decode, Runtime, bool]]:
        """Copy and pickle by opening the same files again: sessions belong to the process that opened them."""
        return type(self), self._arguments

    def predict(self, images: str | PathLike[str] | Iterable[str | PathLike[str]], batch_size: int = 64) -> Predictions:
        """Predict images; those that cannot be read are in `errors` of the result.

        Args:
            images: paths, or anything that `lab predict` takes as INPUT, except for standard input.
            batch_size: the number of images that the device is given at once.

        Raises:
            DataError: a folder, archive, table or pattern has no images.
            DeviceError: the device cannot run even one image.
        """
        require(batch_size > 0, "batch_size", "above 0", batch_size)
        names, files = self._list(images)
        predictions = list(self.stream(files, batch_size))
        missing = np.full(len(self.card.classes), np.nan, dtype=np.float32)
        rows = [missing if item.probabilities is None else item.probabilities for item in predictions]
        return Predictions(
            names=tuple(names),
            labels=tuple(map(self._label, predictions)),
            probabilities=np.stack(rows) if rows else np.empty((0, len(missing)), dtype=np.float32),
            errors={index: item.error for index, item in enumerate(predictions) if item.error},
        )

    def stream(self, files: Sequence[File], batch_size: int = 64) -> Iterator[ImagePrediction]:
        """Predict each file, in order, one batch after another; memory does not grow with their number.

        Raises:
            DeviceError: the device cannot run even one image.
        """
        return classify(Ensemble(self._sessions, len(files), batch_size, self._tta), files, self._decoder)

    def compare_decoders(self, files: Sequence[File], batch_size: int = 64) -> "Difference":
        """Compare predictions from images decoded on the GPU and on the CPU, on up to 128 of the files.

        Raises:
            DeviceError: the decoders give different images.
            ConfigError: the models were opened to decode on the CPU.
        """
        from infer.pipeline.decoder_comparison import compare_decoders

        if self._decoder is None:
            raise ConfigError('there is nothing to compare: images are decoded on the CPU; load with decode="gpu"')
        return compare_decoders(self._sessions, files, batch_size, self._tta, self._decoder)

    def _list(
        self, images: str | PathLike[str] | Iterable[str | PathLike[str]]
    ) -> tuple[Sequence[str], Sequence[File]]:
        if isinstance(images, str | PathLike):
            inputs = read_inputs(Path(images), self.card.classes)
            return inputs.names, inputs.files
        paths = [fspath(image) for image in images]
        return paths, paths

    def _label(self, prediction: ImagePrediction) -> str | None:
        if prediction.probabilities is None:
            return None
        return self.card.classes[int(prediction.probabilities.argmax())].label
