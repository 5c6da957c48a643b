"""The name of a cache of decoded images: a hash of all that decides which pixels are in it."""

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

import PIL

from infer.images import preprocess
from infer.images.dicom import decoder_versions
from infer.images.preprocess import PixelSpec

FORMAT = "2"
"""Version of the cache's file format."""


def cache_key(files: Sequence[str], spec: PixelSpec) -> str:
    """Hexadecimal digits that change with the spec, the code that decodes, Pillow, pydicom, and the state of any file.

    A file's state is its path, size, modification time and change time (st_ctime). No program can set the change time,
    so a file that keeps size and modification time (an unpacked archive, cp -p, touch -r) is still seen to be another.
    It also moves where the content stays: chmod, a new hard link, a restored backup. Then the images are decoded once
    more than needed. The inode number is left out: sshfs, and SMB without the server's own, make it up at every mount,
    so that a cache would never be found again. Where the change time is none (on Windows it is the creation time, on
    FAT the modification time), `load_canvases` compares a few images with their files.

    Raises:
        OSError: the source of the code that decodes is missing.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in pixel_sources(preprocess)))
    digest.update(
        f"{FORMAT} {PIL.__version__} {decoder_versions()} {json.dumps(spec.to_json(), sort_keys=True)}".encode()
    )
    for file in files:
        digest.update(f"{os.path.abspath(file)}\0{_state(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def pixel_sources(module: ModuleType) -> list[Path]:
    """The source files of a module and of all that it imports from its own package, directly or not, by path.

    Raises:
        OSError: one of them is missing.
    """
    assert module.__file__ is not None
    assert module.__package__ is not None
    found, unread = set(), [Path(module.__file__)]
    while unread:
        path = unread.pop()
        if path not in found:
            found.add(path)
            unread += _imports(path.read_bytes(), path.parent, module.__package__)
    return sorted(found)


@cache
def _imports(source: bytes, folder: Path, package: str) -> tuple[Path, ...]:
    """The modules that a source imports from the package, which lies in the folder."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{package}.{alias.name}" for alias in node.names] if module == package else [module]
        found += [name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}.")]
    return tuple(folder / f"{name}.py" for name in found)


def _state(file: str) -> str:
    try:
        status = os.stat(file)
    except OSError:
        return "missing"
    return f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
