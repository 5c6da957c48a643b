"""An ONNX file on a device: uint8 images in, logits and probabilities out, on the provider that was asked for."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from infer.config import Device
from infer.core.arrays import Floats, Pixels
from infer.core.errors import DeviceError, LabError, ModelError
from infer.model.card import read_card
from infer.model.cuda import CPU, CUDA, find_problem
from infer.model.cuda_graphs import Recorded
from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.provider_options import RECORDING, Options, default_options, remembered

RESULTS = ("logits", "probabilities")
CAM = "cam"
"""The output with the class activation map."""


class Session:
    """A model file, opened on one provider.

    Attributes:
        card: what the file says of itself.
        provider: "CUDAExecutionProvider" or "CPUExecutionProvider", as ONNX Runtime reports it, not as it was asked.
        reason: why `auto` chose it; "" where the device was named.
        options: the provider's, as lab chooses them or as `lab predict --tune` has measured.
        batch: the only batch size that the file takes; None where it takes any.
        has_cam: whether the file gives a class activation map, which `lab export --cam` adds.
    """

    def __init__(self, path: Path, device: Device = "auto", threads: int | None = None) -> None:
        """Open `path`. A CUDA session never places a node on the CPU; `threads` None means all cores.

        Raises:
            ModelError: no ONNX file, no card, or ONNX Runtime cannot read it.
            DeviceError: CUDA was asked for and cannot be had; the message says what is missing.
        """
        self.card = read_card(path)
        self.path = path
        self.reason = ""
        problem = gpu_problem(self.card.precision) if device != "cpu" else None
        if device == "cuda" and problem:
            raise DeviceError(f"--device cuda: {problem}; or choose --device cpu")
        if device == "auto":
            self.reason = problem or "a GPU is there"
        wanted = CPU if device == "cpu" or problem else CUDA
        self._threads = threads
        try:
            self._open(wanted, self._options(wanted))
        except DeviceError as error:
            if device == "cuda":
                raise
            self.reason = str(error)
            self._open(CPU, self._options(CPU))
        first = self._session.get_inputs()[0].shape[0]
        self.batch: int | None = first if isinstance(first, int) else None
        self.has_cam: bool = CAM in [output.name for output in self._session.get_outputs()]

    def with_options(self, options: Options) -> "Session":
        """The same file on the same provider with other options. Raises DeviceError, ModelError."""
        other = copy.copy(self)
        other._open(self.provider, options)
        return other

    def _options(self, provider: str) -> Options:
        """Those that were measured here, or else the default ones."""
        return remembered(self.path, provider) or default_options(provider, self.card.precision)

    def _open(self, provider: str, options: Options) -> None:
        plain = {**options, RECORDING: "0"} if RECORDING in options else options
        self._session = open_onnx(self.path, provider, self._threads, plain)
        self.options: Options = options
        self.provider: str = self._session.get_providers()[0]
        self._recorded = None
        if options.get(RECORDING) == "1":
            open_again = partial(open_onnx, self.path, provider, self._threads, options)
            self._recorded = Recorded(open_again, self.provider == CUDA, RESULTS, len(self.card.classes))

    def prepare(self, count: int) -> None:
        """Record the work of a batch of `count` images, where the options say so, while nothing else uses the GPU.

        Raises DeviceError and ModelError, as `run`.
        """
        if self._recorded:
            shape = (count, *self.card.pixels.window, 3)
            with self._told(shape):
                self._recorded.record(shape)

    def run(self, pixels_nhwc: Pixels) -> tuple[Floats, Floats]:
        """Logits and probabilities, float32 [n, K] each, of uint8 images [n, H, W, 3].

        Raises:
            DeviceError: the device's memory is exhausted.
            ModelError: the file cannot run such a batch.
        """
        if self._recorded and self._recorded.holds(pixels_nhwc.shape):
            with self._told(pixels_nhwc.shape):
                logits, probabilities = self._recorded.run(pixels_nhwc)
        else:
            logits, probabilities = self._run(RESULTS, pixels_nhwc)
        return logits, probabilities

    def run_cam(self, pixels_nhwc: Pixels) -> Floats:
        """The class activation maps, float32 [n, K, h, w], of uint8 images [n, H, W, 3]; where `has_cam`.

        Raises DeviceError and ModelError, as `run`.
        """
        (cam,) = self._run((CAM,), pixels_nhwc)
        return cam

    def _run(self, outputs: Sequence[str], pixels_nhwc: Pixels) -> list[Floats]:
        with self._told(pixels_nhwc.shape):
            found: list[Floats] = self._session.run(list(outputs), {"images": pixels_nhwc})
        return found

    @contextlib.contextmanager
    def _told(self, shape: tuple[int, ...]) -> Iterator[None]:
        """ONNX Runtime's errors about a batch as lab's."""
        try:
            yield
        except LabError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            if is_out_of_memory(error):
                raise DeviceError(
                    f"the memory of {self.provider} is exhausted by {shape[0]} images; give a smaller --batch-size"
                ) from error
            what = str(error).partition("\n")[0]
            raise ModelError(
                f"{self.path} cannot run a batch of shape {list(shape)}: {what}; export it again"
            ) from error


def gpu_problem(precision: str) -> str | None:
    """Why a file of this precision cannot run on a GPU here, with the remedy, or None."""
    if precision == "int8":
        return "int8 is for CPUs: ONNX Runtime's CUDA provider has no int8 convolution; export fp16 for a GPU"
    return find_problem()
