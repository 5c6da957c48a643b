"""What runs model files: execution providers of ONNX Runtime, and OpenVINO beside them.

One table for sessions, the gate, --tune and lab doctor.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product

from infer.core.cpu import bf16_problem, cores, int8_problem, is_limited, processor
from infer.core.errors import ConfigError

CUDA_GRAPH = "enable_cuda_graph"
"""CUDA's option, "1" or "0", that captures a batch's work as a CUDA graph; see `infer.model.cuda_graphs`."""

SPINNING, DIVIDED = "session.intra_op.allow_spinning", "divide_batches"
"""Options on the CPU: "1" keeps a core while a thread waits; "0" leaves batches whole, see `infer.model.cpu_engine`."""

AUTO = "auto"
ONNXRUNTIME_LIBRARY, OPENVINO_LIBRARY = "onnxruntime", "openvino"
"""Names of the packages that open and run a file."""

Options = Mapping[str, str]
"""Options of a session by name: those that begin with `session.` are the session's, all others the provider's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Provider:
    """A provider: what it needs, and how sessions on it are configured and fed. As text, its name."""

    name: str
    """ONNX Runtime's name for it, `CUDAExecutionProvider`, or that of another runtime."""
    device: str
    """The value of --device that chooses it."""
    runtime: str = ONNXRUNTIME_LIBRARY
    """The value of --runtime that chooses it."""
    library: str = ONNXRUNTIME_LIBRARY
    """The package that opens and runs files on it."""
    computes: Mapping[str, str] = field(default_factory=dict)
    """The precision in which it computes files, by the file's: f32, f16, bf16, int8."""
    memory: str
    """ONNX Runtime's name for the kind of memory that its tensors lie in: `cuda`, `cpu`."""
    device_name: Callable[[], str]
    """The name and version of this machine's device; --tune saves its choice under it."""
    find_problem: Callable[[], str | None] = lambda: None
    """Returns why it cannot be used on this machine, with the remedy; None where nothing is known to be missing."""
    unsupported: Mapping[str, str] = field(default_factory=dict)
    """Precisions that it cannot run, each with the reason and the remedy."""
    optional: bool = False
    """Whether it is an extra: only files whose evidence names it run on it, and `auto` does not report its absence."""
    preferred: Mapping[str, str] | None = None
    """Precisions of files for which `auto` takes it rather than a later row, each with the reason; None: all."""
    doubt: Callable[[], str | None] | None = None
    """Returns why `auto` leaves it aside on this machine, or None; of int8 files only those whose sums may overflow."""
    newest_opset: int | None = None
    """The newest opset whose graphs it is known to run whole; None: every one that ONNX Runtime reads."""
    options: Options = field(default_factory=dict)
    """Options of every session."""
    machine_options: Callable[[], Options] = dict
    """Returns options that depend on what this machine grants, in place of those of every session."""
    precision_options: Mapping[str, Options] = field(default_factory=dict)
    """Options by precision, in addition to or in place of those of every session."""
    exact_options: Options = field(default_factory=dict)
    """In place of those by precision, for a file whose 8-bit sums may overflow: kernels in which they cannot."""
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

    @property
    def option(self) -> str:
        """The option that names it: `--device cuda`."""
        return f"--runtime {self.runtime}" if self.optional else f"--device {self.device}"

    @property
    def instead(self) -> str:
        """The option that names what runs every file, where this one does not."""
        return f"--runtime {ONNXRUNTIME_LIBRARY}" if self.optional else "--device cpu"

    def problem(self, precision: str) -> str | None:
        """Why a file of this precision cannot run on it here, with the remedy; None where no reason is known."""
        return self.unsupported.get(precision) or self.find_problem()

    def is_preferred(self, precision: str, may_overflow: bool = False) -> bool:
        """Whether `auto` takes it for such files, rather than a row after it; both arguments are the card's."""
        doubt = self.doubt if may_overflow or precision != "int8" else None
        return self.preferred is None or (precision in self.preferred and not (doubt and doubt()))

    def default_options(self, precision: str, may_overflow: bool = False) -> Options:
        """The options of a session that was not tuned; both arguments are the card's."""
        own = self.exact_options if may_overflow else self.precision_options.get(precision, {})
        return {**self.options, **self.machine_options(), **own}

    def tuning_candidates(self, precision: str, may_overflow: bool = False) -> list[Options]:
        """The options that --tune measures: every combination of the values of `tuned`, the default ones first."""
        default = self.default_options(precision, may_overflow)
        tuned = {**self.tuned, **self.precision_tuned.get(precision, {})}
        candidates = [{**default, **dict(zip(tuned, values, strict=True))} for values in product(*tuned.values())]
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


def _openvino_name() -> str:
    from infer.model.openvino_runtime import openvino_version

    return f"{_cpu_name()}, openvino {openvino_version()}"


def _openvino_problem() -> str | None:
    from infer.model.openvino_runtime import find_problem

    return find_problem()


def _openvino_bf16_problem() -> str | None:
    from infer.model.openvino_runtime import find_bf16_problem

    return find_bf16_problem()


def _cpu_name() -> str:
    return f"{processor()}, {cores()} cores"


def _pin_for_cuda(address: int, nbytes: int) -> AbstractContextManager[None]:
    from infer.model.cuda_driver import pinned

    return pinned(address, nbytes)


CUDA = Provider(
    name="CUDAExecutionProvider",
    device="cuda",
    memory="cuda",
    device_name=_gpu_name,
    computes={"fp32": "f32", "fp16": "f16"},
    find_problem=_cuda_problem,
    unsupported={"int8": "int8 is for CPUs: ONNX Runtime has no int8 convolution on CUDA; export fp16 for a GPU"},
    # ONNX Runtime 1.31 has no MaxPool of opset 22 or later on CUDA (onnxruntime issue 26393, pull request 27715)
    newest_opset=21,
    # HEURISTIC asks cuDNN for its best guess; EXHAUSTIVE searches no further with cuDNN 9. No TF32: fp32 is fp32
    options={"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "prefer_nhwc": "0", CUDA_GRAPH: "0"},
    # use_tf32=0 drops every cuDNN engine that uses tensor cores, also those for fp16, which knows no TF32
    precision_options={"fp16": {"prefer_nhwc": "1", "use_tf32": "1", "fuse_conv_bias": "0"}},
    # graphs are the slowest to vary: a capture that fails may leave the GPU unusable
    tuned={CUDA_GRAPH: ("0", "1"), "prefer_nhwc": ("1", "0")},
    # a convolution's bias is a kernel of its own unless it is fused, and it can be fused only with use_tf32=1
    precision_tuned={"fp16": {"fuse_conv_bias": ("0", "1")}},
    session_entries={"session.disable_cpu_ep_fallback": "1"},
    batches_in_flight=2,
    pin_memory=_pin_for_cuda,
    pads_batches=True,
)

OPENVINO_OPTIONS: Options = {
    # in place of what OpenVINO would choose by the processor; infer/model/openvino_session.py reads all of them back
    "INFERENCE_PRECISION_HINT": "f32",
    "EXECUTION_MODE_HINT": "ACCURACY",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    "KV_CACHE_PRECISION": "f32",
    "CPU_DENORMALS_OPTIMIZATION": "NO",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",  # for a batch that is not divided
    "ENABLE_CPU_PINNING": "NO",  # threads bound to cores would wait behind those that decode
}

OPENVINO = Provider(
    name="OpenVINO",
    device="cpu",
    runtime="openvino",
    library=OPENVINO_LIBRARY,
    memory="cpu",
    device_name=_openvino_name,
    find_problem=_openvino_problem,
    computes={"fp32": "f32", "fp16": "f32", "int8": "int8"},
    optional=True,
    preferred={"int8": "OpenVINO runs int8 faster than ONNX Runtime"},  # not float32: docs/performance.md
    doubt=int8_problem,
    options=OPENVINO_OPTIONS,
    tuned={DIVIDED: ("0",)},  # the default divides
    batches_in_flight=2,
)

OPENVINO_BF16 = replace(
    OPENVINO,
    name="OpenVINO bf16",
    runtime="openvino-bf16",
    find_problem=_openvino_bf16_problem,
    unsupported={
        "fp16": "a file in half precision is for GPUs; export fp32, which OpenVINO can compute in bfloat16",
        "int8": "an int8 file is not computed in bfloat16; choose --runtime openvino",
    },
    computes={"fp32": "bf16"},
    preferred={"fp32": "OpenVINO computes in bfloat16 faster than in float32"},
    doubt=bf16_problem,
    # in the mode ACCURACY OpenVINO keeps to the file's own precision
    options={**OPENVINO_OPTIONS, "INFERENCE_PRECISION_HINT": "bf16", "EXECUTION_MODE_HINT": "PERFORMANCE"},
)

CPU = Provider(
    name="CPUExecutionProvider",
    device="cpu",
    memory="cpu",
    device_name=_cpu_name,
    computes={"fp32": "f32", "fp16": "f32", "int8": "int8"},
    machine_options=lambda: {SPINNING: "0" if is_limited() else "1"},  # a spinning thread uses up a quota
    exact_options={"session.x64quantprecision": "1"},  # where there is VNNI it changes nothing
    session_entries={"session.force_spinning_stop": "1"},  # after a run, the cores are for decoding
    tuned={DIVIDED: ("0",), SPINNING: ("1", "0")},  # the default divides
    runs_anywhere=True,
)

PROVIDERS: tuple[Provider, ...] = (CUDA, OPENVINO_BF16, OPENVINO, CPU)
"""In the order in which `--device auto` and `--runtime auto` try them."""


def providers_for(device: str, runtime: str = AUTO) -> tuple[Provider, ...]:
    """The providers that values of --device and --runtime allow, in the order in which they are tried."""
    return tuple(row for row in PROVIDERS if device in (AUTO, row.device) and runtime in (AUTO, row.runtime))


def check_runtime(device: str, runtime: str) -> None:
    """Raises ConfigError where no provider is of this device and this runtime."""
    if not providers_for(device, runtime):
        raise ConfigError(f"--device {device} and --runtime {runtime} exclude each other; leave one of them out")
