"""Environments for bench/consumers.py: installs a consumer's pinned packages, and says how it is started."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from consumer_table import Consumer

HERE = Path(__file__).resolve().parent
Command = list[str | Path]


@contextmanager
def environment(consumer: Consumer, work: Path, keep: bool) -> Iterator[tuple[Command, str]]:
    """How the consumer is started, and why it could not be installed ("" if it could).

    The command takes three more arguments: the model file, the images (.npy) and where to write the probabilities
    (.npy). The environment is removed afterwards unless it is kept.
    """
    folder = work / "environments" / "-".join((*consumer.packages[:1], consumer.kind)).replace("/", "-")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield INSTALLERS[consumer.kind](consumer, folder), ""
    except InstallError as error:
        yield [], str(error)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


class InstallError(Exception):
    """A consumer cannot be installed here; the message is the reason."""


def in_virtual_environment(consumer: Consumer, folder: Path) -> Command:
    """A virtual environment of the Python version that it needs."""
    python = folder / "bin" / "python"
    if not python.exists():
        install([interpreter(consumer.version), "-m", "venv", folder])
    install([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *consumer.packages])
    return [python, HERE / "consumer_runners.py", consumer.runner]


def interpreter(version: str) -> str:
    """The program of a Python version.

    Raises:
        InstallError: none on PATH, or one that does not start: a version manager's stand-in for a version not chosen.
    """
    if version == "3.11":
        return sys.executable
    name = shutil.which(f"python{version}")
    if name is None or subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode:
        raise InstallError(f"no python{version} that starts is on PATH")
    return name


def beside_lab(consumer: Consumer, folder: Path) -> Command:
    """Packages without their dependencies, before lab's own on the path: for what needs torch, which is large."""
    install([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *consumer.packages])
    environ: Command = [f"PYTHONPATH={folder}", f"PATH={folder / 'bin'}{os.pathsep}{os.environ['PATH']}"]
    return ["env", *environ, sys.executable, HERE / "consumer_runners.py", consumer.runner]


def in_node(consumer: Consumer, folder: Path) -> Command:
    """Node's packages in a folder, beside a copy of the scripts, which find them there."""
    npm_folder(consumer.packages, folder, ("consumer_node.mjs", "consumer_answer.mjs"))
    return [sys.executable, HERE / "consumer_bytes.py", "node", folder / "consumer_node.mjs", consumer.runner]


def in_browser(consumer: Consumer, folder: Path) -> Command:
    """Node's packages in a folder, of which a browser takes what it needs."""
    npm_folder(consumer.packages, folder)
    chromium()
    script: Command = [sys.executable, HERE / "consumer_browser.py", consumer.runner, folder / "node_modules"]
    return [sys.executable, HERE / "consumer_bytes.py", *script]


def chromium() -> str:
    """The installed Chromium or Chrome."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise InstallError("Chromium is not installed")
    return found


def in_c(consumer: Consumer, folder: Path) -> Command:
    """The example in C, with the header that an npm package ships and the library of lab's own ONNX Runtime."""
    if shutil.which("gcc") is None:
        raise InstallError("gcc is not installed")
    npm_folder(consumer.packages, folder)
    header = min(folder.rglob("onnxruntime_c_api.h"))
    source, program = HERE.parent / "docs" / "examples" / "predict.c", folder / "predict"
    install(["gcc", "-O2", "-I", header.parent, source, "-o", program, "-ldl"])
    (origin,) = importlib.import_module("onnxruntime").__path__
    return [sys.executable, HERE / "consumer_c.py", program, min(Path(origin).glob("capi/libonnxruntime.so.*"))]


def npm_folder(packages: Sequence[str], folder: Path, scripts: Sequence[str] = ()) -> None:
    """Install Node's packages beside copies of scripts of bench/; onnxruntime-node's CUDA libraries are not fetched."""
    if shutil.which("npm") is None:
        raise InstallError("Node is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["ONNXRUNTIME_NODE_INSTALL"] = "skip"
    install(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *packages])
    for name in scripts:
        shutil.copy(HERE / name, folder)


def install(command: Sequence[str | Path]) -> None:
    """Run an installer.

    Raises:
        InstallError: with the last line that begins with ERROR, or the last one.
    """
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        lines = (ran.stdout + ran.stderr).strip().splitlines() or [f"exit code {ran.returncode}"]
        raise InstallError(next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1]))


INSTALLERS: Mapping[str, Callable[[Consumer, Path], Command]] = MappingProxyType(
    {
        "python": in_virtual_environment,
        "beside": beside_lab,
        "node": in_node,
        "web": in_node,
        "c": in_c,
        "chromium": in_browser,
    }
)
