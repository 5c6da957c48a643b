"""`lab doctor`: what this machine has and what runs on it. What can be tried is tried, not looked up."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from PIL import features
from rich.table import Table as RichTable
from rich.text import Text

from infer.core.arrays import Floats
from infer.core.cpu import (
    INT8_INSTRUCTIONS,
    bf16_instructions,
    fast_bf16,
    instructions,
    int8_problem,
    usable_cores,
)
from infer.core.errors import LabError
from infer.core.files import cache_folder
from infer.core.text import shown
from infer.images.dicom import PACKAGES
from infer.images.formats import FORMATS, ImageFormat
from infer.images.preprocess import PixelSpec
from infer.model.cuda import versions_text
from infer.model.engine import open_engine
from infer.model.onnx_session import FATAL, runtime
from infer.model.onnx_writer import Node, Value, small_model
from infer.model.openvino_runtime import capabilities, openvino_version
from infer.model.providers import AUTO, CUDA, OPENVINO, OPENVINO_LIBRARY, Provider, providers_for
from infer.version import __version__, installed_version

EXTRAS = {
    "train": ("torch", "torchvision", "onnx", "onnxscript", "safetensors"),
    "openvino": ("openvino",),
    "parquet": ("pyarrow",),
    "hdf5": ("h5py",),
    "dicom": PACKAGES,
    "ray": ("ray", "pyarrow"),
    "nvjpeg": ("nvidia-nvimgcodec-cu13", "nvidia-nvjpeg"),
    "tensorboard": ("tensorboard",),
}
"""The optional parts of lab and the packages that each installs."""
C_COMPILERS = ("gcc", "clang")
"""Those that Triton looks for where CC does not name one."""


@dataclass(frozen=True)
class Findings:
    """What this machine has and what it lacks."""

    rows: tuple[tuple[str, str], ...]
    """Name and value, for people."""
    remedies: tuple[str, ...]
    """One line per missing part: what to do about it."""


def examine() -> Findings:
    """Examine this machine and try the execution providers; takes a second or two."""
    providers = sorted(providers_for(AUTO), key=lambda provider: not provider.runs_anywhere)
    problems = {provider.name: provider.find_problem() for provider in providers}
    compile_problem = find_compile_problem()
    absent = {extra: [name for name in names if not installed_version(name)] for extra, names in EXTRAS.items()}
    rows = [
        ("lab", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        ("processor", f"{usable_cores()}; {', '.join(instructions()) or 'instruction sets not known'}"),
        ("int8", _int8()),
        ("bfloat16", _bf16()),
        ("memory", _memory()),
        ("GPU", _gpus()),
        ("CUDA, cuDNN", versions_text()),
        ("ONNX Runtime", _runtime(providers)),
        ("OpenVINO package", _openvino()),
        *((row.label, _result(problems[row.name] or try_provider(row))) for row in providers),
        ("decoders", _decoders()),
        ("--decode gpu", _result(problems[CUDA.name] or try_gpu_decoder())),
        ("torch.compile", compile_problem or "a C compiler and Python's headers are here"),
        *((f"extra {extra}", _extra(names)) for extra, names in EXTRAS.items()),
        ("cache", _cache()),
    ]
    required = [row for row in providers if not row.optional]
    remedies = [f"for {row.label}: {problem}" for row in required if (problem := problems[row.name])]
    remedies += [f"for torch.compile: {compile_problem}"] if compile_problem else []
    remedies += [
        f"for {extra}: {', '.join(names)} not installed; pip install '.[{extra}]' in lab's folder"
        for extra, names in absent.items()
        if names
    ]
    return Findings(tuple(rows), tuple(remedies))


def findings_table(findings: Findings) -> RichTable:
    """The findings for the terminal."""
    table = RichTable(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in findings.rows:
        table.add_row(name, Text(shown(value)))
    return table


def try_provider(provider: Provider) -> str:
    """Run a tiny model on a provider; returns why it cannot run here, "" where it can."""
    if provider.library == OPENVINO_LIBRARY:
        return _try_openvino(provider)
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = FATAL
    try:
        session = ort.InferenceSession(_doubling_model(), options, providers=[provider.name], enable_fallback=0)
        if session.get_providers()[0] != provider.name:
            return f"ONNX Runtime took {session.get_providers()[0]} instead"
        (result,) = session.run(None, {"x": np.array([21], dtype=np.float32)})
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's exceptions have no common base but this
        return str(error).partition("\n")[0]
    return _wrong(result)


def _try_openvino(provider: Provider) -> str:
    try:
        engine = open_engine(_doubling_model(), provider, 1, provider.options)
        (result,) = engine.run(["y"], {"x": np.array([21], dtype=np.float32)})
    except Exception as error:  # noqa: BLE001  # nor have OpenVINO's
        return str(error).partition("\n")[0]
    return _wrong(result)


def _wrong(result: Floats) -> str:
    return "" if result.tolist() == [42] else f"it computes {result.tolist()} where 42 is right"


def try_gpu_decoder() -> str:
    """Decode a JPEG on the GPU; returns why that is not possible, "" where it is."""
    from infer.pipeline.gpu_decode import GpuDecoder

    try:
        GpuDecoder([PixelSpec.default(16)], "none")
    except LabError as error:
        return str(error).removeprefix("--decode gpu").lstrip(": ")
    return ""


def find_compile_problem() -> str:
    """Return what --compile lacks on this machine, with the remedy; "" where nothing is known to be missing.

    The compiler and the folder of headers are those that Triton takes (triton/runtime/build.py), which torch.compile
    uses on a GPU.
    """
    chosen = os.environ.get("CC")
    if not any(shutil.which(name) for name in ([chosen] if chosen else C_COMPILERS)):
        missing = f"CC names {chosen}, which is not found" if chosen else "install gcc or clang"
        return f"needs a C compiler: {missing}; training runs without it, but uncompiled"
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")  # Debian's own has no headers
    folder = Path(sysconfig.get_paths(scheme)["include"])
    if not (folder / "Python.h").is_file():
        package = f"python3.{sys.version_info.minor}-dev"
        return (
            f"needs Python.h, which is not in {folder}: install Python's development package (Debian: {package}); "
            "training runs without it, but uncompiled"
        )
    return ""


def _result(problem: str) -> str:
    return f"does not run: {problem}" if problem else "runs"


def _doubling_model() -> bytes:
    """A model that doubles one number."""
    return small_model([Node("Add", ["x", "x"], "y")], [Value("x", "float32", [1])], [Value("y", "float32", [1])])


def _runtime(providers: Sequence[Provider]) -> str:
    """ONNX Runtime's version, and which of the providers its build has."""
    import onnxruntime as ort

    built = [provider.label for provider in providers if provider.name in ort.get_available_providers()]
    return f"{ort.__version__}, built for {', '.join(built)}"


def _openvino() -> str:
    """OpenVINO's version, and the precisions that its CPU plugin computes here."""
    try:
        return OPENVINO.find_problem() or f"{openvino_version()}, computes {', '.join(capabilities())}"
    except LabError as error:
        return str(error)


def _int8() -> str:
    suitable = [name for name in instructions() if name in INT8_INSTRUCTIONS]
    if suitable:
        return f"this processor multiplies 8-bit numbers without overflow ({', '.join(suitable)})"
    if problem := int8_problem():
        return f"{problem}: int8 gains less, and files of earlier labs, with 8-bit weights, take slower kernels"
    return "not known for this processor: check int8 files with lab verify"


def _bf16() -> str:
    if suitable := bf16_instructions():
        use = "lab train computes in them" if fast_bf16() else "lab train --precision bf16, slower than float32"
        return f"this processor multiplies bfloat16 numbers ({', '.join(suitable)}): {use}"
    return "not known of this processor: lab train computes in float32 on it"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB"
    except (ValueError, OSError, AttributeError):
        return "not known"


def _gpus() -> str:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return "none: nvidia-smi is missing or fails"
    return "; ".join(line for line in output.splitlines() if line) or "none"


def _decoders() -> str:
    decoders = [_decoder(item) for item in FORMATS if item.library]
    return f"Pillow {PIL.__version__}: {', '.join(decoders)}"


def _decoder(image_format: ImageFormat) -> str:
    library = image_format.library
    if not features.check(library):
        return f"no {image_format.name}"
    return f"{image_format.name} ({library} {features.version(library)})"


def _extra(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {installed_version(name) or '(not installed)'}" for name in names)


def _cache() -> str:
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{folder}, {shutil.disk_usage(existing).free / 1e9:.0f} GB free"
