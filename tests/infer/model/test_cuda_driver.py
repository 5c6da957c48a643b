"""Streams and registered memory, as the driver is asked for them; a stand-in notes the calls."""

import ctypes
import threading
from typing import Any

import pytest

import infer.model.cuda_driver
from infer.core.errors import DeviceError
from infer.model.cuda_driver import Stream, pinned


class Driver:
    """Answers as the driver does, notes each call, and fails where it is asked to."""

    def __init__(self, **codes: int) -> None:
        self.calls: list[str] = []
        self.codes = codes
        self.current: dict[int, int] = {}
        """The context of each thread."""

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if code := self.codes.get(name, 0):
                return code
            thread = threading.get_ident()
            if name == "cuCtxGetCurrent":
                arguments[0]._obj.value = self.current.get(thread)
            elif name == "cuDevicePrimaryCtxRetain":
                arguments[0]._obj.value = 7
            elif name == "cuCtxSetCurrent":
                self.current[thread] = arguments[0].value
            elif name == "cuStreamCreate":
                assert arguments[1] == 1  # non-blocking
                arguments[0]._obj.value = 99
            elif thread not in self.current and name not in ("cuInit", "cuDeviceGet"):
                return 201  # CUDA_ERROR_INVALID_CONTEXT
            return 0

        return call


def use(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(infer.model.cuda_driver, "load_driver", lambda: driver)
    return driver


def test_a_stream_may_be_waited_for_in_a_thread_that_has_not_used_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = use(Driver(), monkeypatch)
    stream = Stream()
    assert stream.handle == 99
    problems: list[BaseException] = []

    def wait() -> None:
        try:
            stream.wait()
        except DeviceError as error:
            problems.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert problems == []
    assert driver.calls.count("cuStreamSynchronize") == 1


@pytest.mark.parametrize("failing", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuStreamCreate"])
def test_a_gpu_that_gives_no_stream_is_an_error_with_its_code(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Driver(**{failing: 2}), monkeypatch)
    with pytest.raises(DeviceError, match="CUDA error 2"):
        Stream()


def test_work_that_failed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use(Driver(cuStreamSynchronize=700), monkeypatch)
    stream = Stream()
    with pytest.raises(DeviceError, match=r"work on the GPU failed \(CUDA error 700\)"):
        stream.wait()


def test_registered_memory_is_released_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = use(Driver(), monkeypatch)
    memory = ctypes.create_string_buffer(64)

    def use_and_fail() -> None:
        with pinned(ctypes.addressof(memory), 64):
            assert driver.calls[-1] == "cuMemHostRegister_v2"
            raise KeyError

    with pytest.raises(KeyError):
        use_and_fail()
    assert driver.calls[-1] == "cuMemHostUnregister"


def test_memory_that_cannot_be_registered_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = use(Driver(cuMemHostRegister_v2=1), monkeypatch)
    with pinned(4096, 64):
        pass
    assert "cuMemHostUnregister" not in driver.calls

    def no_driver() -> Driver:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(infer.model.cuda_driver, "load_driver", no_driver)
    with pinned(4096, 64):
        pass
