"""What of this machine's processor lab may use, and what it can do, where the system tells."""

import os
import platform
from pathlib import Path

EIGHT_BITS = ("avx_vnni", "avx512_vnni", "amx_int8")
"""Instructions that multiply 8-bit numbers without overflow."""
INSTRUCTIONS = ("avx2", "avx512f", *EIGHT_BITS)


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def instructions() -> tuple[str, ...]:
    """Which of INSTRUCTIONS the processor has; none where that is not known."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return ()
    return tuple(name for name in INSTRUCTIONS if name in flags)


def processor() -> str:
    """The processor's name where the system tells it, otherwise its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def int8_problem() -> str | None:
    """Why int8 files may answer wrongly here, or None: an x86 processor before VNNI lets sums of products overflow."""
    found = instructions()
    if "avx2" in found and not set(found) & set(EIGHT_BITS):
        return "this processor may overflow in 8 bits (AVX2 without VNNI): lab verify tells whether it does"
    return None
