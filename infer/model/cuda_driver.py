"""What lab asks of the NVIDIA driver itself: a stream of one's own, and memory that the GPU reads without a copy."""

import contextlib
import ctypes
from collections.abc import Iterator

from infer.core.errors import DeviceError
from infer.model.cuda import load_driver

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: the stream does not wait for CUDA's default stream, nor that for it."""


class Stream:
    """A CUDA stream on the first GPU that waits for no other one.

    Attributes: handle (int), the address of the driver's stream.
    """

    def __init__(self) -> None:
        """Raises DeviceError where the GPU cannot be used."""
        _enter_context()
        stream = ctypes.c_void_p()
        _check(load_driver().cuStreamCreate(ctypes.byref(stream), NON_BLOCKING), "cannot make a stream")
        self.handle = stream.value or 0

    def wait(self) -> None:
        """Wait for the stream's work to end, from any thread. Raises DeviceError where the work failed."""
        _enter_context()
        _check(load_driver().cuStreamSynchronize(ctypes.c_void_p(self.handle)), "work on the GPU failed")


@contextlib.contextmanager
def pinned(address: int, nbytes: int) -> Iterator[None]:
    """Keep host memory in place, so that a GPU copies from it while the host goes on; where that fails, it just copies.

    Args:
        address: of the memory, which must outlive the context.
        nbytes: its size.
    """
    try:
        _enter_context()
        driver = load_driver()
        registered = driver.cuMemHostRegister_v2(ctypes.c_void_p(address), ctypes.c_size_t(nbytes), 0) == 0
    except (OSError, DeviceError):
        registered = False
    try:
        yield
    finally:
        if registered:
            _enter_context()
            driver.cuMemHostUnregister(ctypes.c_void_p(address))


def _enter_context() -> None:
    """Make the first GPU's primary context, which ONNX Runtime uses too, current in this thread. Raises DeviceError."""
    driver = load_driver()
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _check(driver.cuInit(0), "the driver does not start")
    _check(driver.cuDeviceGet(ctypes.byref(device), 0), "the driver sees no GPU")
    driver.cuCtxGetCurrent(ctypes.byref(context))
    if context.value is None:
        _check(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "the GPU cannot be used")
        _check(driver.cuCtxSetCurrent(context), "the GPU cannot be used")


def _check(code: int, problem: str) -> None:
    if code:
        raise DeviceError(f"{problem} (CUDA error {code}); choose --device cpu, or --decode cpu")
