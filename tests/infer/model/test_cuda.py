"""What CUDA lacks on this machine, step by step, with a driver that the tests play."""

import ctypes
import sys
from pathlib import Path

import onnxruntime
import pytest

from infer.model import cuda


class Driver:
    """The four calls of the CUDA driver that lab makes."""

    def __init__(self, start: int = 0, gpus: int = 1, version: int = 13000) -> None:
        self.start, self.gpus, self.version = start, gpus, version

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.start

    def cuDeviceGetCount(self, count) -> int:  # noqa: N802
        count._obj.value = self.gpus
        return 0

    def cuDriverGetVersion(self, version) -> int:  # noqa: N802
        version._obj.value = self.version
        return 0


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0", raising=False)


def test_the_cpu_build_of_onnx_runtime_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "pip install onnxruntime-gpu" in str(cuda.find_problem())


@pytest.mark.usefixtures("cuda_build")
@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (Driver(start=100), "does not start"),
        (Driver(gpus=0), "sees no GPU"),
        (Driver(version=12040), "supports CUDA 12.4, ONNX Runtime needs 13"),
    ],
)
def test_each_fault_of_a_driver_is_reported_by_itself(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, message: str
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert message in str(cuda.find_problem())


@pytest.mark.usefixtures("cuda_build")
def test_a_missing_driver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda.find_problem() == "no NVIDIA driver is installed"


@pytest.mark.usefixtures("cuda_build")
def test_missing_libraries_are_named_with_the_extra_that_brings_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setattr(
        onnxruntime,
        "preload_dlls",
        lambda cuda, cudnn, directory: sys.stdout.write("Failed to load libcublas.so.13: gone\n"),
    )
    problem = str(cuda.find_problem())
    assert "libcublas.so.13" in problem
    assert ".[cuda]" in problem
    assert capsys.readouterr().out == ""  # what preload_dlls prints is kept for the error


@pytest.mark.usefixtures("cuda_build")
def test_libraries_are_loaded_from_pip_packages_wherever_they_lie(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = (
        "cu13/lib/libcudart.so.13",
        "cu13/include/cudart_platform.h",
        "cudnn/lib/libcudnn.so.9",
        "cudnn/include/cudnn.h",
    )
    for library in (f"nvidia/{name}" for name in files):
        (tmp_path / library).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / library).touch()
    folders = {}
    (tmp_path / "first" / "nvidia").mkdir(parents=True)
    (tmp_path / "first" / "nvidia" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path)])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setattr(
        onnxruntime, "preload_dlls", lambda cuda, cudnn, directory: folders.update({(cuda, cudnn): directory})
    )
    assert cuda.find_problem() is None
    assert folders == {
        (True, False): str(tmp_path / "nvidia/cu13/lib"),
        (False, True): str(tmp_path / "nvidia/cudnn/lib"),
    }


@pytest.mark.usefixtures("cuda_build")
def test_libraries_of_another_version_are_distinguished_from_missing_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = tmp_path / "nvidia" / "cuda_runtime" / "lib" / "libcudart.so.12"
    library.parent.mkdir(parents=True)
    library.touch()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setattr(
        onnxruntime,
        "preload_dlls",
        lambda cuda, cudnn, directory: sys.stdout.write("Failed to load libcudart.so.13: gone\n"),
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    problem = str(cuda.find_problem())
    assert "are of version 12, ONNX Runtime needs 13" in problem
    library.with_name("libcudart.so.13").touch()
    assert "Failed to load libcudart.so.13" in str(cuda.find_problem())


class Library(Driver):
    """The CUDA runtime, cuDNN and the driver in one."""

    class cudnnGetVersion:  # noqa: N801
        restype: object = None

        def __new__(cls) -> int:  # type: ignore[misc]
            return 91302

    def cudaRuntimeGetVersion(self, version) -> int:  # noqa: N802
        version._obj.value = 13010
        return 0


@pytest.mark.usefixtures("cuda_build")
def test_the_versions_of_driver_runtime_and_cudnn_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(version=13020))
    assert cuda.versions_text() == (
        "ONNX Runtime is built for 13.0; the driver supports 13.2; runtime 13.1; cuDNN 9.13.2"
    )


@pytest.mark.parametrize("build", ["13.0", ""])
def test_missing_parts_are_shown_without_a_version(monkeypatch: pytest.MonkeyPatch, build: str) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(onnxruntime, "cuda_version", build, raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda.versions_text() == (f"ONNX Runtime is built for {build or 'none'}; no driver; no runtime; no cuDNN 9")


@pytest.mark.gpu
def test_a_gpu_is_identified_by_its_name_and_driver() -> None:
    assert ", CUDA 1" in cuda.gpu_name()
