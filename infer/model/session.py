"""An ONNX file on a device: uint8 images in, logits and probabilities out, on the provider that was asked for."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.config import Device
from infer.core.errors import DeviceError, LabError, ModelError
from infer.images.preprocess import Pixels
from infer.model.card import read_card
from infer.model.cuda import CPU, CUDA, find_problem
from infer.model.cuda_graphs import Recorded
from infer.model.provider_options import RECORDING, Options, default_options, remembered

Floats = NDArray[np.float32]

RESULTS = ("logits", "probabilities")
CAM = "cam"
"""The output with the class activation map."""
OUT_OF_MEMORY = (
    "failed to allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "allocation_failed",
    "allocation failed",
    "smaller than requested bytes",
    "can't allocate memory",  # torch's allocator on the CPU
)
"""What exhausted memory is called in the messages of ONNX Runtime, CUDA and torch, in lower case."""


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


def runtime_version() -> str:
    """ONNX Runtime's own version: its wheels have several names."""
    import onnxruntime as ort

    return str(ort.__version__)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception of ONNX Runtime or torch tells of exhausted memory (few have a class of their own)."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY)


def open_onnx(model: Path | bytes, provider: str, threads: int | None, options: Options) -> Any:
    """An InferenceSession of a file, or of its content, that runs every node on one provider.

    Raises:
        ModelError: ONNX Runtime cannot read it.
        DeviceError: the provider cannot be had, or does not run all nodes.
    """
    import onnxruntime as ort

    path = model if isinstance(model, Path) else "a graph of lab's own"

    settings = ort.SessionOptions()
    settings.log_severity_level = 4  # what fails is raised; what ORT would only log is checked below
    settings.intra_op_num_threads = threads or 0  # 0: all
    entries = {"session.disable_cpu_ep_fallback": "1"} if provider == CUDA else options
    for name, value in entries.items():
        settings.add_session_config_entry(name, value)
    try:
        chosen = [(CUDA, dict(options))] if provider == CUDA else [CPU]
        # enable_fallback would move a failing session to the CPU, here and again in any later run, with only a print
        session = ort.InferenceSession(model, settings, providers=chosen, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this
        what = str(error).partition("\n")[0]
        if provider == CUDA:
            raise DeviceError(f"ONNX Runtime cannot run {path} on CUDA: {what}; choose --device cpu") from error
        raise ModelError(f"ONNX Runtime cannot read {path}: {what}; export it again") from error
    if session.get_providers()[0] != provider:
        raise DeviceError(
            f"ONNX Runtime did not load its CUDA provider and would run {path} on {session.get_providers()[0]}; "
            "choose --device cpu, or repair the CUDA installation"
        )
    return session
