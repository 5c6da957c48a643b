"""The processor of this machine: usable cores, instruction sets, name."""

import os
import platform
from pathlib import Path

INT8_INSTRUCTIONS = ("avx_vnni", "avx512_vnni", "amx_int8")
"""Instructions that multiply 8-bit numbers without overflow."""
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Instructions that multiply bfloat16 numbers."""
INSTRUCTIONS = ("avx2", "avx512f", *INT8_INSTRUCTIONS, *BF16_INSTRUCTIONS)


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def instructions() -> tuple[str, ...]:
    """The INSTRUCTIONS that the processor has; empty if the system does not report them."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return ()
    return tuple(name for name in INSTRUCTIONS if name in flags)


def processor() -> str:
    """Name of the processor, or its architecture if the system does not report a name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def int8_problem() -> str | None:
    """Why int8 models may give wrong outputs here, or None. Without VNNI, x86 sums of 8-bit products can overflow."""
    available = instructions()
    if "avx2" in available and not set(available) & set(INT8_INSTRUCTIONS):
        return "this processor may overflow in 8 bits (AVX2 without VNNI); lab verify checks whether it does"
    return None
