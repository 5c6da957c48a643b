"""`lab doctor`: this machine as lab sees it. What can be tried is tried, not looked up."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import PIL
from PIL import features
from rich.table import Table as RichTable
from rich.text import Text

from infer.core.cpu import EIGHT_BITS, cores, instructions, int8_problem
from infer.core.errors import LabError
from infer.core.files import cache_folder
from infer.core.text import shown
from infer.images.formats import FORMATS, ImageFormat
from infer.images.preprocess import PixelSpec
from infer.model.cuda import CPU, CUDA, find_problem, told_versions
from infer.model.onnx_writer import Node, Value, small_model
from infer.version import __version__

EXTRAS = {
    "train": ("torch", "torchvision", "onnx", "onnxscript", "safetensors"),
    "parquet": ("pyarrow",),
    "ray": ("ray", "pyarrow"),
    "nvjpeg": ("nvidia-nvimgcodec-cu13", "nvidia-nvjpeg"),
    "tensorboard": ("tensorboard",),
}
"""The optional parts of lab and what they bring."""


@dataclass(frozen=True)
class Findings:
    """What was found."""

    rows: tuple[tuple[str, str], ...]
    """Name and value, for people."""
    remedies: tuple[str, ...]
    """What to do about what is missing, a line each."""


def examine() -> Findings:
    """Look at this machine and try the providers; takes a second or two."""
    import onnxruntime as ort

    problem = find_problem()
    tries = ((CPU, tried(CPU)), (CUDA, problem or tried(CUDA)))
    absent = {extra: [name for name in names if not _version(name)] for extra, names in EXTRAS.items()}
    rows = [
        ("lab", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        ("processor", f"{cores()} cores usable; {', '.join(instructions()) or 'no instructions known'}"),
        ("int8", _int8()),
        ("memory", _memory()),
        ("GPU", _gpus()),
        ("CUDA, cuDNN", told_versions()),
        ("ONNX Runtime", f"{ort.__version__}, {'CUDA' if CUDA in ort.get_available_providers() else 'CPU'} build"),
        *((name.removesuffix("ExecutionProvider"), f"does not run: {why}" if why else "runs") for name, why in tries),
        ("decoders", _decoders()),
        ("--decode gpu", f"does not run: {why}" if (why := problem or tried_decoder()) else "runs"),
        *((f"extra {extra}", _extra(names)) for extra, names in EXTRAS.items()),
        ("cache", _cache()),
    ]
    remedies = [f"for a GPU: {problem}"] if problem else []
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


def tried(provider: str) -> str:
    """Why a provider cannot run a tiny model here; "" where it has just done so."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(_double(), options, providers=[provider], enable_fallback=0)
        if session.get_providers()[0] != provider:
            return f"ONNX Runtime took {session.get_providers()[0]} instead"
        (answer,) = session.run(None, {"x": np.array([21], dtype=np.float32)})
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's exceptions have no common base but this
        return str(error).partition("\n")[0]
    return "" if answer.tolist() == [42] else f"it answers {answer.tolist()} where 42 is right"


def tried_decoder() -> str:
    """Why JPEGs cannot be decoded on the GPU; "" where one has just been."""
    from infer.pipeline.gpu_decode import GpuDecoder

    try:
        GpuDecoder([PixelSpec.default(16)], "none")
    except LabError as error:
        return str(error).removeprefix("--decode gpu").lstrip(": ")
    return ""


def _double() -> bytes:
    """A model that doubles a number: what a provider is tried with."""
    return small_model([Node("Add", ["x", "x"], "y")], [Value("x", "float32", [1])], [Value("y", "float32", [1])])


def _int8() -> str:
    found = [name for name in instructions() if name in EIGHT_BITS]
    if found:
        return f"this processor is made for it ({', '.join(found)})"
    return int8_problem() or "not known for this processor: lab verify tells whether it is right"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB"
    except (ValueError, OSError, AttributeError):
        return "not known"


def _gpus() -> str:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return "none that nvidia-smi tells of"
    return "; ".join(line for line in told.splitlines() if line) or "none"


def _decoders() -> str:
    decoders = [_decoder(item) for item in FORMATS if item.library]
    return f"Pillow {PIL.__version__}: {', '.join(decoders)}"


def _decoder(image_format: ImageFormat) -> str:
    library = image_format.library
    if not features.check(library):
        return f"no {image_format.name}"
    return f"{image_format.name} ({library} {features.version(library)})"


def _extra(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {_version(name) or '(not installed)'}" for name in names)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cache() -> str:
    folder = cache_folder()
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{folder}, {shutil.disk_usage(place).free / 1e9:.0f} GB free"
