"""What a measurement was made on: the line that every figure of bench/ carries."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine() -> str:
    """The processor, its cores, each GPU with its driver where the driver's own tool tells them, and Python."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        told = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        gpus = "; ".join(told.splitlines())
    except (OSError, subprocess.CalledProcessError):
        gpus = ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {gpus or 'no GPU'}, {python}"


def installed(package: str) -> str:
    """The version of a package by its name on PyPI, `?` where it is absent or came here without its metadata."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def cpu_flags() -> str:
    """Which of the instructions that matter for 8-bit arithmetic the processor has, where Linux tells."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "instructions unknown"
    found = [name for name in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8") if name in flags]
    return " ".join(found) or "none of AVX2, VNNI, AMX"
