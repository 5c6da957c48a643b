"""The processor of this machine: cores and time that this process is granted, instruction sets, name."""

import contextlib
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

INT8_INSTRUCTIONS = ("avx_vnni", "avx512_vnni", "amx_int8")
"""Instructions that multiply 8-bit numbers without overflow."""
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Instructions that multiply bfloat16 numbers."""
INSTRUCTIONS = ("avx2", "avx512f", *INT8_INSTRUCTIONS, *BF16_INSTRUCTIONS)


CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux shows control groups, and those of this process."""


def cores() -> int:
    """Number of cores that keep this process busy: those that it may use, and no more than its quota, rounded up."""
    allowed = allowed_cores()
    limit = quota()
    return allowed if limit is None else max(1, min(allowed, math.ceil(limit)))


def allowed_cores() -> int:
    """Number of cores that this process may run on, whatever share of their time it has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota() -> float | None:
    """The cores' worth of time that control groups grant this process, as a container's limit; None: no limit."""
    limits = [limit for folder in _cgroups() for limit in (_quota_v2(folder), _quota_v1(folder)) if limit]
    return min(limits, default=None)


def is_limited() -> bool:
    """Whether a quota grants less than the cores that this process may run on: a thread that waits may not spin."""
    limit = quota()
    return limit is not None and limit < allowed_cores()


def usable_cores() -> str:
    """For people: the cores that are used, and why they are fewer than this process may run on."""
    limit = quota()
    if limit is None or not is_limited():
        return f"{cores()} cores usable"
    return f"{cores()} of {allowed_cores()} cores used, by a quota of {limit:g}; threads that wait do not spin"


def _cgroups() -> Iterator[Path]:
    """The folders of this process's groups and of those that they are in: a container sees its own as the outermost."""
    with contextlib.suppress(OSError):
        for line in MEMBERSHIP.read_text(encoding="utf-8").splitlines():
            controllers, _, path = line.partition(":")[2].partition(":")
            if controllers and "cpu" not in controllers.split(","):
                continue
            for part in (PurePosixPath(path), *PurePosixPath(path).parents):
                yield CGROUPS / controllers / str(part).lstrip("/")


def _quota_v2(folder: Path) -> float | None:
    """From `cpu.max`: microseconds granted, or `max`, and those of a period."""
    with contextlib.suppress(OSError, ValueError):
        granted, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return int(granted) / int(period)
    return None


def _quota_v1(folder: Path) -> float | None:
    """From `cpu.cfs_quota_us`, which is -1 where there is no limit."""
    with contextlib.suppress(OSError, ValueError):
        granted, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return granted / period if granted > 0 else None
    return None


def instructions() -> tuple[str, ...]:
    """The INSTRUCTIONS that the processor has; empty if the system does not report them."""
    flags = set(_cpuinfo().split())
    return tuple(name for name in INSTRUCTIONS if name in flags)


def bf16_instructions() -> tuple[str, ...]:
    """The BF16_INSTRUCTIONS that the processor has."""
    return tuple(name for name in instructions() if name in BF16_INSTRUCTIONS)


def fast_bf16() -> str | None:
    """The instructions with which bfloat16 is faster than float32 here; None without, or where they are not known.

    These are AMX, and AVX-512 BF16 on AMD's processors; on Intel's, AVX-512 BF16 alone is slower than float32
    (docs/performance.md).
    """
    known = bf16_instructions()
    if "amx_bf16" in known:
        return "amx_bf16"
    return "avx512_bf16" if "avx512_bf16" in known and vendor() == "AuthenticAMD" else None


def vendor() -> str | None:
    """Who made the processor, as x86 processors say: `GenuineIntel`, `AuthenticAMD`; None if it is not reported."""
    return _reported("vendor_id")


def processor() -> str:
    """Name of the processor, or its architecture if the system does not report a name."""
    return _reported("model name") or platform.processor() or platform.machine()


def _reported(key: str) -> str | None:
    """What Linux reports of the first core under a name."""
    pairs = (line.partition(":") for line in _cpuinfo().splitlines())
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)


def _cpuinfo() -> str:
    """What Linux reports of the cores; "" on other systems."""
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return ""


def int8_problem() -> str | None:
    """What int8 files lack here, or None: such x86 processors add two products in 16 bits, which may overflow.

    Weights of 7 bits, which lab writes, cannot; for files with 8, ONNX Runtime is set to kernels that add in 32 bits.
    """
    available = instructions()
    if "avx2" in available and not set(available) & set(INT8_INSTRUCTIONS):
        return "this processor has AVX2 without VNNI"
    return None


def bf16_problem() -> str | None:
    """Why bfloat16 gains nothing over float32 on this processor; None where it gains, or where that is not known."""
    if instructions() and not fast_bf16():
        return "this processor has neither AMX nor AMD's AVX-512 BF16, without which bfloat16 is slower than float32"
    return None
