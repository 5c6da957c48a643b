"""What a measurement was made on: the line that every figure of bench/ carries."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version


def machine() -> str:
    """The processor, its cores, each GPU with its driver where the driver's own tool tells them, and Python."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        output = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        gpus = "; ".join(output.splitlines())
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
