"""Whether ONNX Runtime can use an NVIDIA GPU on this machine, and if not, which part is missing.

Where its CUDA provider does not load, ONNX Runtime only logs it and runs on the CPU. So before a session is opened,
each part that CUDA needs is checked in turn, and the first one that is missing is named.
"""

import contextlib
import ctypes
import io
import platform
import sys
from pathlib import Path

CUDNN = ("libcudnn.so.9*", "cudnn64_9.dll")
"""File names of cuDNN's library on Linux and on Windows."""


def find_problem() -> str | None:
    """Return why CUDA cannot be used on this machine, with the remedy; None where nothing is known to be missing."""
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        if sys.platform == "darwin" or platform.machine().lower() in ("arm64", "aarch64"):
            return "ONNX Runtime has no CUDA build for this kind of machine"
        return "ONNX Runtime is installed as its CPU build; pip uninstall onnxruntime, then pip install onnxruntime-gpu"
    needed = _major(ort.cuda_version)
    return _driver_problem(needed) or _library_problem(needed)


def load_driver() -> ctypes.CDLL:
    """Load the NVIDIA driver's own library, which needs no CUDA toolkit. Raises OSError where there is none."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def versions_text() -> str:
    """Versions of CUDA and cuDNN, for people: what ONNX Runtime needs, the driver supports, and would be loaded."""
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


def gpu_name() -> str:
    """The first GPU's name, the version of CUDA that the driver supports, and the driver's own."""
    driver = load_driver()
    name, version, device = ctypes.create_string_buffer(256), ctypes.c_int(), ctypes.c_int()
    driver.cuInit(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDriverGetVersion(ctypes.byref(version))
    return f"{name.value.decode(errors='replace')}, CUDA {version.value}{_driver_release()}"


def _driver_release() -> str:
    """The driver's own version, where Linux shows it: two releases may support one version of CUDA."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").split()
    except OSError:
        return ""
    return next((f", driver {word}" for word in words if word[:1].isdigit() and "." in word), "")


def _runtime_version(major: int) -> str:
    version = ctypes.c_int()
    library = _load(*_runtime(major))
    if library is None or library.cudaRuntimeGetVersion(ctypes.byref(version)):
        return ""
    return _dotted(version.value)


def _dotted(version: int) -> str:
    """CUDA's integer for a version, as people write it: 13010 is 13.1."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _cudnn_version() -> str:
    library = _load(*CUDNN)
    if library is None:
        return ""
    library.cudnnGetVersion.restype = ctypes.c_size_t
    version = library.cudnnGetVersion()
    return f"{version // 10_000}.{version % 10_000 // 100}.{version % 100}"


def _load(linux: str, windows: str) -> ctypes.CDLL | None:
    """Load a library from pip's `nvidia` packages, or else from the system; None where there is none."""
    name = windows if sys.platform == "win32" else linux
    folder = _library_folder(name)
    path = next(iter(sorted(Path(folder).glob(name))), None) if folder else None
    try:
        return ctypes.CDLL(str(path or name.replace("*", "")))
    except OSError:
        return None


def _driver_problem(needed_major: int) -> str | None:
    """Return what is wrong with the driver or the GPU, as the driver itself reports it."""
    try:
        driver = load_driver()
    except OSError:
        return "no NVIDIA driver is installed"
    if code := driver.cuInit(0):
        return f"the NVIDIA driver does not start (cuInit returned {code}); check that this process may use the GPU"
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
    """Load CUDA and cuDNN from pip's `nvidia` packages or from the system, and return what could not be loaded."""
    import onnxruntime as ort

    output = io.StringIO()
    with contextlib.redirect_stdout(output):  # preload_dlls prints what it could not load
        ort.preload_dlls(cuda=True, cudnn=False, directory=_library_folder(*_runtime(needed_major)))
        ort.preload_dlls(cuda=False, cudnn=True, directory=_library_folder(*CUDNN))
    failures = [line for line in output.getvalue().splitlines() if line.startswith("Failed")]
    if not failures and sys.platform == "linux":
        try:
            ctypes.CDLL("libcudnn.so.9")
        except OSError as error:  # preload_dlls does not report a missing cuDNN
            failures = [f"Failed to load {error}"]
    majors = [major for major in range(9, 30) if major != needed_major and _library_folder(*_runtime(major))]
    if failures and majors and not _library_folder(*_runtime(needed_major)):
        have = f"the CUDA libraries in this Python environment are of version {majors[-1]}"
        return f"{have}, ONNX Runtime needs {needed_major}; pip install '.[cuda]' in lab's folder brings them"
    if failures:
        return f"CUDA libraries are missing ({failures[0]}); pip install '.[cuda]' in lab's folder brings them"
    return None


def _runtime(major: int) -> tuple[str, str]:
    """File names of the CUDA runtime's library of a major version, on Linux and on Windows."""
    return f"libcudart.so.{major}*", f"cudart64_{major}*.dll"


def _library_folder(*names: str) -> str:
    """The folder in pip's `nvidia` packages that holds a library of one of these names; "" where none does.

    Every folder of the path is searched: some of the packages hide those that are installed elsewhere from an import.
    """
    folders = [Path(entry) / "nvidia" for entry in sys.path]
    libraries = (path for folder in folders for name in names for path in sorted(folder.glob(f"*/**/{name}")))
    return next((str(library.parent) for library in libraries), "")


def _major(version: str) -> int:
    return int(version.partition(".")[0])
