"""An ONNX file opened on a device: uint8 images in, logits and probabilities out, on the provider that was chosen."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infer.config import Device, Runtime
from infer.core.arrays import Floats, Pixels
from infer.core.errors import DeviceError, LabError, ModelError
from infer.core.files import sha256_of
from infer.model.card import read_card
from infer.model.cuda_graphs import CudaGraphs
from infer.model.engine import library_version, open_engine
from infer.model.evidence import evidence_problem
from infer.model.input_kinds import INPUT_KINDS, UINT8
from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.opset_limit import file_problem
from infer.model.provider_options import saved_options
from infer.model.providers import AUTO, CUDA_GRAPH, Options, Provider, providers_for
from infer.model.seal import OUTPUT_NAMES, check_seal

CAM = "cam"
"""The output with the class activation map."""


class Session:
    """A model file, opened on one provider.

    Attributes:
        card: what the file says about itself; of a changed file with its graph's precision and opset.
        seal: the file's evidence, and what was changed since.
        provider: the provider that runs it, checked against what the runtime reports.
        reason: why `auto` chose this provider; "" where there was no choice.
        options: those of the session and of the provider: lab's own, or those that `lab predict --tune` measured.
        batch: the only batch size that the file takes; None where it takes any.
        has_cam: whether the file has the class activation map as an output, which `lab export --cam` adds.
    """

    provider: Provider
    options: Options
    takes_windows = True
    """Whether files are opened that take the card's window; those of another class take whole images."""

    def __init__(
        self,
        path: Path,
        device: Device = AUTO,
        threads: int | None = None,
        runtime: Runtime = AUTO,
        provider: Provider | None = None,
        accept_changed: bool = False,
        accept_option: str = "",
    ) -> None:
        """Open a file. A session on a GPU never runs a node on the CPU.

        Args:
            path: the ONNX file.
            device: a provider's device; `auto` takes the first provider that can run the file.
            threads: for operators on the CPU; None: one per core.
            runtime: what runs it; `auto` takes the fastest that the file's evidence and this machine allow.
            provider: the one to open it on, whatever its evidence says: for the gate, which makes the evidence.
            accept_changed: open a file that was changed since its export, too.
            accept_option: how the caller's user asks for that, which the refusal names; "": not at all.

        Raises:
            ModelError: there is no such file, it has no card, it was changed, or ONNX Runtime cannot read it.
            DeviceError: the named device or runtime cannot run it; the message says what is missing.
        """
        card = read_card(path)
        self.seal = check_seal(path, accept_changed or provider is not None, accept_option)
        self.card = self.seal.true_card(card)
        self.path = path
        if self.takes_windows != (INPUT_KINDS[self.card.input].feed is not None):
            raise ModelError(
                f"{path} takes whole decoded images one at a time, for programs without lab's resize; predict with the "
                "file that lab export writes without --embed-resize"
            )
        self._threads = threads
        self.reason = ""
        if provider is not None:
            self._open(provider, self.default_options(provider))
        else:
            self.reason = self._open_first(device, runtime)
        self.batch: int | None = self._engine.batch
        self.has_cam: bool = CAM in self._engine.outputs

    @property
    def run_by(self) -> str:
        """What runs the file, with its version and the precision in which it computes, for people."""
        row, precision = self.provider, self.provider.computes.get(self.card.precision)
        return f"{row.label} ({row.library} {library_version(row.library)})" + (f" in {precision}" if precision else "")

    @property
    def file_sha256(self) -> str:
        """The sha256 of the file; it was computed when the seal was checked, if there is one."""
        return self.seal.evidence.file_sha256 if self.seal.evidence else sha256_of(self.path)

    def default_options(self, provider: Provider) -> Options:
        """The options for this file on a provider where --tune has chosen none."""
        return provider.default_options(self.card.precision, self.card.may_overflow)

    def with_options(self, options: Options) -> "Session":
        """The same file on the same provider with other options. Raises DeviceError, ModelError."""
        other = copy.copy(self)
        other._open(self.provider, options)
        return other

    def _open_first(self, device: Device, runtime: Runtime) -> str:
        """Open the file on the first provider that can run it, of those that the options allow; returns the reason."""
        rows, precision, reasons = providers_for(device, runtime), self.card.precision, list[str]()
        for row in rows:
            is_last = row is rows[-1]
            if not (is_last or row.is_preferred(precision, self.card.may_overflow)):
                continue
            problem = file_problem(row, precision, self.card.opset)
            if problem and row.optional and not is_last:
                continue
            problem = problem or (evidence_problem(self.path, self.seal.evidence, row) if row.optional else None)
            try:
                if problem:
                    raise DeviceError(f"{row.option}: {problem}; or choose {row.instead}")
                saved = saved_options(self.path, row, precision, self.card.may_overflow)
                self._open(row, saved or self.default_options(row))
                break
            except DeviceError as error:
                if is_last:
                    raise
                reasons.append(problem or str(error))
        if len(rows) == 1:
            return ""
        why = (self.provider.preferred or {}).get(precision)
        available = [] if reasons or self.provider.runs_anywhere else [f"{self.provider.label} is available"]
        return "; ".join([*reasons, *([why] if why else available)])

    def _open(self, provider: Provider, options: Options) -> None:
        without_graphs = {**options, CUDA_GRAPH: "0"} if CUDA_GRAPH in options else options
        self._engine = open_engine(self.path, provider, self._threads, without_graphs)
        self.options = options
        self.provider = provider
        self._graphs = None
        if options.get(CUDA_GRAPH) == "1" and self.card.input == UINT8:
            open_again = partial(open_onnx, self.path, provider, self._threads, options)
            self._graphs = CudaGraphs(open_again, provider.memory, OUTPUT_NAMES, len(self.card.classes))

    def prepare(self, count: int) -> None:
        """Capture a CUDA graph for batches of `count` images, if the options ask for it; nothing else may use the GPU.

        Raises DeviceError and ModelError, as `run`.
        """
        if self._graphs:
            shape = (count, *self.card.pixels.window, 3)
            with self._translated_errors(shape):
                self._graphs.capture(shape)

    def run(self, pixels_nhwc: Pixels) -> tuple[Floats, Floats]:
        """Logits and probabilities, float32 [n, K] each, of uint8 images [n, H, W, 3].

        Raises:
            DeviceError: the device's memory is exhausted.
            ModelError: the file cannot run such a batch.
        """
        if self._graphs and self._graphs.has(pixels_nhwc.shape):
            with self._translated_errors(pixels_nhwc.shape):
                logits, probabilities = self._graphs.replay(pixels_nhwc)
        else:
            logits, probabilities = self._run(OUTPUT_NAMES, pixels_nhwc)
        return logits, probabilities

    def run_cam(self, pixels_nhwc: Pixels) -> Floats:
        """Class activation maps, float32 [n, K, h, w], of uint8 images [n, H, W, 3]; only where `has_cam`.

        Raises DeviceError and ModelError, as `run`.
        """
        (cam,) = self._run((CAM,), pixels_nhwc)
        return cam

    def _run(self, outputs: Sequence[str], pixels_nhwc: Pixels) -> list[Floats]:
        with self._translated_errors(pixels_nhwc.shape):
            return self._engine.run(outputs, self._feed(pixels_nhwc))

    def _feed(self, pixels_nhwc: Pixels) -> dict[str, Any]:
        """The graph's input, made of uint8 images [n, H, W, 3]."""
        kind = INPUT_KINDS[self.card.input]
        assert kind.feed is not None
        return {kind.name: kind.feed(pixels_nhwc)}

    @contextlib.contextmanager
    def _translated_errors(self, shape: tuple[int, ...]) -> Iterator[None]:
        """Translate a runtime's errors about a batch of this shape into lab's."""
        try:
            yield
        except LabError:
            raise
        except Exception as error:  # the exceptions of runtimes have no common base but this
            if is_out_of_memory(error):
                raise DeviceError(
                    f"the memory of {self.provider} is exhausted by {shape[0]} images; "
                    "give smaller batches or another --device"
                ) from error
            reason = str(error).partition("\n")[0]
            raise ModelError(
                f"{self.path} cannot run a batch of shape {list(shape)}: {reason}; export it again"
            ) from error
