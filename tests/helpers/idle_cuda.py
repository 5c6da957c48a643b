"""ONNX Runtime's own CUDA provider without a GPU: in a child process, on CUDA libraries that do nothing (idle_cuda.c).

Which nodes the provider takes, which of cuDNN's engines it accepts and what it calls are real; results are zeros. The
libraries stand in for CUDA's runtime, cuBLAS and cuDNN. A stand-in for the driver alone would not do: NVIDIA's runtime
checks that the driver is NVIDIA's (cudaErrorSoftwareValidityNotEstablished), and tests leave that check alone.
"""

import importlib.util
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

SOURCE = Path(__file__).with_suffix(".c")
TOOLS = ("gcc", "nm", "readelf")
CUDNN = "libcudnn.so.9"
"""The provider loads it by name, where it needs it."""
CUDA_RUNTIME = "libcudart.so.13"


def missing() -> str | None:
    """Why the libraries cannot be built here; None where they can."""
    if sys.platform != "linux":
        return "the stand-in for CUDA is for Linux"
    if absent := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"not installed: {', '.join(absent)}"
    provider = _provider()
    if not provider.exists():
        return "ONNX Runtime is installed as its CPU build"
    return None if CUDA_RUNTIME in _needed(provider) else "ONNX Runtime's CUDA provider is not built for CUDA 13"


def build(folder: Path) -> None:
    """Write the libraries that the CUDA provider needs to a folder: one file under the names of all."""
    provider, own = _provider(), folder / "own.o"
    _output("gcc", "-c", SOURCE, "-o", own)
    defined = set(re.findall(r" T (\w+)", _output("nm", own)))
    wanted = re.findall(r" U ((?:__)?cu\w+)(?:@(\S+))?", _output("nm", "-D", "--undefined-only", provider))
    versions: dict[str, list[str]] = {}
    for function, version in wanted:
        if version:
            versions.setdefault(version, []).append(function)
    source, script, library = folder / "all.c", folder / "versions", folder / "idle_cuda.so"
    lines = [f'#include "{SOURCE}"', *(f"NOTHING({name})" for name, _ in wanted if name not in defined)]
    source.write_text("\n".join([*lines, ""]))
    script.write_text("\n".join(f"{name} {{ global: {'; '.join(names)}; }};" for name, names in versions.items()))
    _output("gcc", "-shared", "-fPIC", f"-Wl,--version-script={script}", source, "-o", library)
    for name in [*(name for name in _needed(provider) if name.startswith("libcu")), CUDNN]:
        (folder / name).symlink_to(library.name)


def run(folder: Path, calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Make calls in one child process, on the libraries of a folder that `build` filled, and return their results.

    The functions, their arguments and results are pickled. They must not import torch, which loads NVIDIA's libraries.
    """
    tests = Path(__file__).parents[1]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": _joined(str(folder), os.environ.get("LD_LIBRARY_PATH")),
        "PYTHONPATH": _joined(str(tests.parent), str(tests), os.environ.get("PYTHONPATH")),
    }
    command = [sys.executable, "-P", "-m", "helpers.idle_cuda"]
    child = subprocess.run(
        command, input=pickle.dumps(list(calls)), env=environment, capture_output=True, timeout=120, check=False
    )
    assert child.returncode == 0, child.stderr.decode(errors="replace")
    results: list[Result] = pickle.loads(child.stdout)
    return results


def _joined(*paths: str | None) -> str:
    return os.pathsep.join(path for path in paths if path)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _provider() -> Path:
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("capi") / "libonnxruntime_providers_cuda.so"


def _needed(library: Path) -> list[str]:
    """The names of the libraries that a library is linked to."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", _output("readelf", "-d", library))


if __name__ == "__main__":
    results = [call() for call in pickle.load(sys.stdin.buffer)]
    assert "torch" not in sys.modules
    sys.stdout.buffer.write(pickle.dumps(results))
