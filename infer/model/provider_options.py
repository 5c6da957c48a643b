"""A provider's options: those that lab chooses, and those that were measured as faster for one model on one device."""

import ctypes
import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from infer.core.cpu import cores, processor
from infer.core.files import cache_folder, sha256_of, write_text
from infer.model.cuda import CUDA, load_driver

Options = Mapping[str, str]

RECORDING = "enable_cuda_graph"
"""CUDA's option that records a batch's work, "1" or "0"; see `infer.model.cuda_graphs`."""
CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "prefer_nhwc": "0", RECORDING: "0"}
"""HEURISTIC runs as fast as EXHAUSTIVE with a shorter first run; without TF32, fp32 is what it says."""
HALF_OPTIONS = {**CUDA_OPTIONS, "prefer_nhwc": "1"}
"""For fp16: with channels last, ResNet-18 ran 1.8 times as fast on an H100, ResNet-50 1.4 times."""
CPU_OPTIONS = {"session.intra_op.allow_spinning": "1"}
"""Threads that wait for work spin; they do not give their core to those that decode."""


def default_options(provider: str, precision: str) -> Options:
    """The options without a measurement."""
    if provider != CUDA:
        return CPU_OPTIONS
    return HALF_OPTIONS if precision == "fp16" else CUDA_OPTIONS


def choices(provider: str, precision: str) -> list[Options]:
    """The options that are worth a measurement, the default ones first; none changes what precision is computed in."""
    default = default_options(provider, precision)
    varied = {"session.intra_op.allow_spinning": ("1", "0")}
    if provider == CUDA:
        varied = {
            RECORDING: ("0", "1"),  # last: a recording that fails may leave the GPU unusable
            "prefer_nhwc": ("1", "0"),
            "cudnn_conv_algo_search": ("HEURISTIC", "EXHAUSTIVE"),
        }
    every = [{**default, **dict(zip(varied, values, strict=True))} for values in product(*varied.values())]
    return [default, *(item for item in every if item != default)]


def remembered(model: Path, provider: str) -> Options | None:
    """The options that a measurement chose for this file on this device, or None."""
    known = _read()
    return known.get(_key(model, provider)) if known else None


def remember(model: Path, provider: str, options: Options) -> Path:
    """Keep options for this file on this device; the file that keeps them. Raises OutputError."""
    write_text(_place(), json.dumps({**_read(), _key(model, provider): dict(options)}, indent=2) + "\n")
    return _place()


def _place() -> Path:
    return cache_folder() / "tuned.json"


def _read() -> dict[str, Options]:
    """What is kept; a damaged file keeps nothing."""
    try:
        found = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(map(_is_options, found.values()))
    return found if whole else {}


def _is_options(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(text, str) for text in (*found, *found.values()))


def _key(model: Path, provider: str) -> str:
    """Another device, driver, ONNX Runtime or file has another key."""
    import onnxruntime as ort

    device = _gpu() if provider == CUDA else f"{processor()}, {cores()} cores"
    return f"{device}, onnxruntime {ort.__version__}, {sha256_of(model)}"


def _gpu() -> str:
    """Name of the first GPU and its driver's version."""
    driver = load_driver()
    name, version, device = ctypes.create_string_buffer(256), ctypes.c_int(), ctypes.c_int()
    driver.cuInit(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDriverGetVersion(ctypes.byref(version))
    return f"{name.value.decode(errors='replace')}, CUDA {version.value}{_driver_release()}"


def _driver_release() -> str:
    """The driver's own version where the system tells it; two releases may support one version of CUDA."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").split()
    except OSError:
        return ""
    return next((f", driver {word}" for word in words if word[:1].isdigit() and "." in word), "")


AT_ONCE = {CUDA: 2}
"""Batches that a device is given at once: the pixels of one are copied to it while it works on the other."""
