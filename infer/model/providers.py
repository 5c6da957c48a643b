"""The execution providers of ONNX Runtime that lab uses: one table for sessions, the gate, --tune and lab doctor."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import product

from infer.core.cpu import cores, processor

CUDA_GRAPH = "enable_cuda_graph"
"""CUDA's option, "1" or "0", that captures a batch's work as a CUDA graph; see `infer.model.cuda_graphs`."""

Options = Mapping[str, str]
"""Options of a session by name: those that begin with `session.` are the session's, all others the provider's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Provider:
    """An execution provider: what it needs, and how sessions on it are configured and fed. As text, its name."""

    name: str
    """ONNX Runtime's name for it: `CUDAExecutionProvider`."""
    device: str
    """The value of --device that chooses it."""
    memory: str
    """ONNX Runtime's name for the kind of memory that its tensors lie in: `cuda`, `cpu`."""
    device_name: Callable[[], str]
    """The name and version of this machine's device; --tune saves its choice under it."""
    find_problem: Callable[[], str | None] = lambda: None
    """Returns why it cannot be used on this machine, with the remedy; None where nothing is known to be missing."""
    unsupported: Mapping[str, str] = field(default_factory=dict)
    """Precisions that it cannot run, each with the reason and the remedy."""
    newest_opset: int | None = None
    """The newest opset whose graphs it is known to run whole; None: every one that ONNX Runtime reads."""
    options: Options = field(default_factory=dict)
    """Options of every session."""
    precision_options: Mapping[str, Options] = field(default_factory=dict)
    """Options by precision, in addition to or in place of those of every session."""
    tuned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that --tune measures, by option; none of them changes the arithmetic's precision."""
    precision_tuned: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Values that --tune measures for files of one precision alone, by precision and option."""
    session_entries: Options = field(default_factory=dict)
    """Entries of the session's configuration that are no choice."""
    batches_in_flight: int = 1
    """Batches that a pipeline runs at once: the pixels of one are copied while the device works on another."""
    pin_memory: Callable[[int, int], AbstractContextManager[None]] = lambda address, nbytes: nullcontext()
    """Called with an address and a size in bytes, keeps host memory that batches are copied from in place."""
    pads_batches: bool = False
    """Whether a smaller last batch is filled up to the size of the others, as each new shape costs a first run."""
    runs_anywhere: bool = False
    """Whether every machine has it and every file runs on it: it is the last resort, and the gate always tests it."""

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """The name for people: `CUDA`."""
        return short_name(self.name)

    def problem(self, precision: str) -> str | None:
        """Why a file of this precision cannot run on it here, with the remedy; None where no reason is known."""
        return self.unsupported.get(precision) or self.find_problem()

    def default_options(self, precision: str) -> Options:
        """The options of a session that was not tuned."""
        return {**self.options, **self.precision_options.get(precision, {})}

    def tuning_candidates(self, precision: str) -> list[Options]:
        """The options that --tune measures: every combination of the values of `tuned`, the default ones first."""
        default = self.default_options(precision)
        tuned = {**self.tuned, **self.precision_tuned.get(precision, {})}
        combinations = [dict(zip(tuned, values, strict=True)) for values in product(*tuned.values())]
        candidates = [{**default, **combination} for combination in combinations]
        return [default, *(options for options in candidates if options != default)]


def short_name(name: str) -> str:
    """A provider's name for people: `CUDAExecutionProvider` -> `CUDA`."""
    return name.removesuffix("ExecutionProvider")


def _gpu_name() -> str:
    from infer.model.cuda import gpu_name  # late: it loads ctypes, which `lab --help` does not need

    return gpu_name()


def _cuda_problem() -> str | None:
    from infer.model.cuda import find_problem

    return find_problem()


def _pin_for_cuda(address: int, nbytes: int) -> AbstractContextManager[None]:
    from infer.model.cuda_driver import pinned

    return pinned(address, nbytes)


CUDA = Provider(
    name="CUDAExecutionProvider",
    device="cuda",
    memory="cuda",
    device_name=_gpu_name,
    find_problem=_cuda_problem,
    unsupported={
        "int8": "int8 is for CPUs: ONNX Runtime's CUDA provider has no int8 convolution; export fp16 for a GPU"
    },
    # ONNX Runtime 1.31 has no MaxPool of opset 22 or later on CUDA (onnxruntime issue 26393, pull request 27715)
    newest_opset=21,
    # HEURISTIC asks cuDNN for its best guess; EXHAUSTIVE searches no further with cuDNN 9. No TF32: fp32 is fp32
    options={"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "prefer_nhwc": "0", CUDA_GRAPH: "0"},
    # use_tf32=0 drops every cuDNN engine that uses tensor cores, also those for fp16, which knows no TF32
    precision_options={"fp16": {"prefer_nhwc": "1", "use_tf32": "1", "fuse_conv_bias": "0"}},
    tuned={
        CUDA_GRAPH: ("0", "1"),  # the slowest to vary: a capture that fails may leave the GPU unusable
        "prefer_nhwc": ("1", "0"),
    },
    # a convolution's bias is a kernel of its own unless it is fused, and it can be fused only with use_tf32=1
    precision_tuned={"fp16": {"fuse_conv_bias": ("0", "1")}},
    session_entries={"session.disable_cpu_ep_fallback": "1"},
    batches_in_flight=2,
    pin_memory=_pin_for_cuda,
    pads_batches=True,
)

CPU = Provider(
    name="CPUExecutionProvider",
    device="cpu",
    memory="cpu",
    device_name=lambda: f"{processor()}, {cores()} cores",
    options={"session.intra_op.allow_spinning": "1"},
    # threads that wait for work spin: they do not give their core to those that decode
    tuned={"session.intra_op.allow_spinning": ("1", "0")},
    runs_anywhere=True,
)

PROVIDERS: tuple[Provider, ...] = (CUDA, CPU)
"""In the order in which `--device auto` tries them."""

AUTO = "auto"


def providers_for(device: str) -> tuple[Provider, ...]:
    """The provider that a value of --device chooses; of `auto` all of them, in the order in which they are tried."""
    return tuple(provider for provider in PROVIDERS if device in (AUTO, provider.device))
