"""Whether ONNX Runtime can use a GPU here, and if not, what is missing; asked before a session is made.

ONNX Runtime only logs when its CUDA provider does not load, and then runs on the CPU. So each thing that it needs is
looked at in turn, and the first one missing is named.
"""

import contextlib
import ctypes
import io
import platform
import sys
from pathlib import Path

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
CUDNN = ("libcudnn.so.9*", "cudnn64_9.dll")
"""Its library on Linux and on Windows."""


def find_problem() -> str | None:
    """Why CUDA cannot work on this machine, with the remedy, or None where nothing is missing that can be seen."""
    import onnxruntime as ort

    if CUDA not in ort.get_available_providers():
        if sys.platform == "darwin" or platform.machine().lower() in ("arm64", "aarch64"):
            return "there is no CUDA build of ONNX Runtime for this kind of machine"
        return "this ONNX Runtime is the CPU build; pip uninstall onnxruntime, then pip install onnxruntime-gpu"
    needed = _major(ort.cuda_version)
    return _driver_problem(needed) or _library_problem(needed)


def load_driver() -> ctypes.CDLL:
    """The NVIDIA driver's own library, which needs no CUDA toolkit. Raises OSError where there is none."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def told_versions() -> str:
    """Which CUDA and cuDNN there are, for people: what the driver supports, and what would be loaded."""
    import onnxruntime as ort

    version = ctypes.c_int()
    try:
        load_driver().cuDriverGetVersion(ctypes.byref(version))
        driver = f"the driver supports {_dotted(version.value)}"
    except OSError:
        driver = "no driver"
    needed = getattr(ort, "cuda_version", "") or "none"
    runtime, cudnn = _runtime_version(_major(needed)) if needed != "none" else "", _cudnn_version()
    return (
        f"ONNX Runtime is built for {needed}; {driver}; "
        f"{f'runtime {runtime}' if runtime else 'no runtime'}; {f'cuDNN {cudnn}' if cudnn else 'no cuDNN 9'}"
    )


def _runtime_version(major: int) -> str:
    version = ctypes.c_int()
    library = _load(*_runtime(major))
    if library is None or library.cudaRuntimeGetVersion(ctypes.byref(version)):
        return ""
    return _dotted(version.value)


def _dotted(version: int) -> str:
    """CUDA's whole number for a version, as people write it: 13010 is 13.1."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _cudnn_version() -> str:
    library = _load(*CUDNN)
    if library is None:
        return ""
    library.cudnnGetVersion.restype = ctypes.c_size_t
    version = library.cudnnGetVersion()
    return f"{version // 10_000}.{version % 10_000 // 100}.{version % 100}"


def _load(linux: str, windows: str) -> ctypes.CDLL | None:
    """A library of pip's `nvidia` packages, or else of the system."""
    name = windows if sys.platform == "win32" else linux
    folder = _library_folder(name)
    path = next(iter(sorted(Path(folder).glob(name))), None) if folder else None
    try:
        return ctypes.CDLL(str(path or name.replace("*", "")))
    except OSError:
        return None


def _driver_problem(needed_major: int) -> str | None:
    """Ask the driver itself."""
    try:
        driver = load_driver()
    except OSError:
        return "no NVIDIA driver is installed"
    if code := driver.cuInit(0):
        return f"the NVIDIA driver does not start (cuInit gave {code}); is there a GPU, and may this process use it?"
    count, version = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0:
        return "the NVIDIA driver sees no GPU; check CUDA_VISIBLE_DEVICES"
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value // 1000 < needed_major:
        have = _dotted(version.value)
        return f"the NVIDIA driver supports CUDA {have}, ONNX Runtime needs {needed_major}; update the driver"
    return None


def _library_problem(needed_major: int) -> str | None:
    """Load the CUDA and cuDNN libraries from pip's `nvidia` packages, wherever they lie, or from the system."""
    import onnxruntime as ort

    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # preload_dlls prints what it could not load
        ort.preload_dlls(cuda=True, cudnn=False, directory=_library_folder(*_runtime(needed_major)))
        ort.preload_dlls(cuda=False, cudnn=True, directory=_library_folder(*CUDNN))
    failures = [line for line in said.getvalue().splitlines() if line.startswith("Failed")]
    if not failures and sys.platform == "linux":
        try:
            ctypes.CDLL("libcudnn.so.9")
        except OSError as error:  # preload_dlls passes over a missing cuDNN in silence
            failures = [f"Failed to load {error}"]
    majors = [major for major in range(9, 30) if major != needed_major and _library_folder(*_runtime(major))]
    if failures and majors and not _library_folder(*_runtime(needed_major)):
        have = f"the CUDA libraries in this Python environment are of version {majors[-1]}"
        return f"{have}, ONNX Runtime needs {needed_major}; pip install '.[cuda]' in lab's folder brings them"
    if failures:
        return f"CUDA libraries are missing ({failures[0]}); pip install '.[cuda]' in lab's folder brings them"
    return None


def _runtime(major: int) -> tuple[str, str]:
    """The CUDA runtime's library of a version, on Linux and on Windows."""
    return f"libcudart.so.{major}*", f"cudart64_{major}*.dll"


def _library_folder(*names: str) -> str:
    """The folder of pip's `nvidia` packages with a library of such a name, or "" for the system's own search.

    All folders are looked through: some of the packages hide those that lie elsewhere from an import.
    """
    places = [Path(entry) / "nvidia" for entry in sys.path]
    libraries = (path for place in places for name in names for path in sorted(place.glob(f"*/**/{name}")))
    return next((str(library.parent) for library in libraries), "")


def _major(version: str) -> int:
    return int(version.partition(".")[0])
