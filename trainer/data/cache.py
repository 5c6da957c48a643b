"""Decoded images for training: every canvas once, in one memory-mapped file that later runs find again."""

import contextlib
import hashlib
import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError, OutputError
from infer.core.files import atomic_write, cache_folder, make_folder, write_text
from infer.core.text import size_text
from infer.dataset.table import Table
from infer.images import preprocess
from infer.images.preprocess import PixelSpec, read_canvas
from trainer.data.cache_limit import hold, make_room, usage_text
from trainer.data.decode import decode_files

CODE = ("preprocess.py", "enhance.py")
"""The modules of infer that make a canvas; another version's canvases are not found again."""
FORMAT = "2"
"""Of the files in the cache."""
CHECKED = 256
"""Rows whose content is compared with their checksum when a cache is opened."""
RETRIED = 64
"""Of the images that could not be read for the moment, how many are tried again when a cache is opened."""


@dataclass(frozen=True)
class Canvases:
    """The readable images of a table, decoded.

    Row i of `pixels_nhwc`, uint8 [n, canvas H, canvas W, 3] on disk, is the image of row i of `table`.
    """

    table: Table
    pixels_nhwc: Pixels
    bad: tuple[ImageError, ...]


def load_canvases(table: Table, spec: PixelSpec, workers: int | None, screen: Screen) -> Canvases:
    """Decode a table's images, or find them decoded earlier; unreadable ones are left out.

    `workers` None means all cores. A damaged cache is decoded anew.

    Raises:
        ConfigError: $LAB_CACHE_GB is no number above 0.
        OutputError: the cache cannot be written, or the canvases take more room than it may.
    """
    files = table.files()
    path = cache_folder() / "canvases" / f"{_key(files, spec)}.npy"
    found = _open(path, files, spec)
    if path.exists() and found is None:
        screen.say("the cache of decoded images is damaged: decoding again")
    if found is not None and _readable_now(files, spec, found[1]):
        found = None
    if found is not None:
        screen.say(f"decoded images found in the cache: {size_text(found[0].nbytes)}")
    else:
        _decode(files, spec, path, workers, screen)
        found = _open(path, files, spec)
        screen.say(f"cache: {usage_text(path.parent)}")
    if found is None:
        raise OutputError(f"{path} is not what was written; check the disk, or set LAB_CACHE to another folder")
    rows, reasons = found
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    good = [row for row in range(len(table)) if row not in reasons]
    bad = tuple(ImageError(table.paths[row], error.reason, error.transient) for row, error in reasons.items())
    return Canvases(table.take(good), rows, bad)


def _decode(files: Sequence[str], spec: PixelSpec, path: Path, workers: int | None, screen: Screen) -> None:
    """Write every readable canvas to `path`, then checksums and reasons of the others beside it."""
    notes = path.with_suffix(".json")
    for old in (path, notes):
        with contextlib.suppress(OSError):
            old.unlink(missing_ok=True)
    row_bytes = 3 * math.prod(spec.canvas)
    make_room(make_folder(path.parent), len(files) * row_bytes)
    with atomic_write(path) as draft, draft.open("w+b") as out, screen.bar("decoding", len(files)) as bar:
        hold(out)
        offset = _write_header(out, len(files), spec)
        out.truncate(offset + len(files) * row_bytes)
        marks = decode_files(files, spec, draft, offset, workers, bar.step)
        bad = {row: mark for row, mark in enumerate(marks) if isinstance(mark, ImageError)}
        if bad:
            _close_gaps(out, offset, spec, [row for row in range(len(files)) if row not in bad], len(files))
    write_text(
        notes,
        json.dumps(
            {
                "bad": {row: (error.reason, error.transient) for row, error in bad.items()},
                "crc32": [mark for mark in marks if not isinstance(mark, ImageError)],
            }
        ),
    )


def _close_gaps(out: BinaryIO, offset: int, spec: PixelSpec, good: list[int], count: int) -> None:
    """Move the good ones of `count` rows together, in place."""
    rows = np.memmap(out, np.uint8, "r+", offset, (count, *spec.canvas, 3))
    for target, row in enumerate(good):
        if target != row:
            rows[target] = rows[row]
    rows.flush()
    del rows  # Windows cannot shorten a file that is mapped
    out.seek(0)
    _write_header(out, len(good), spec)  # of the same length: numpy leaves room for the number to grow
    out.truncate(offset + len(good) * 3 * math.prod(spec.canvas))


def _write_header(out: BinaryIO, rows: int, spec: PixelSpec) -> int:
    """Write the header of a .npy file; its length in bytes."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *spec.canvas, 3)}
    np.lib.format.write_array_header_1_0(out, header)
    out.flush()
    return out.tell()


def _open(path: Path, files: Sequence[str], spec: PixelSpec) -> tuple[Pixels, dict[int, ImageError]] | None:
    """The good rows, and the other rows' errors; None where there is no cache, or a damaged one."""
    try:
        notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        bad = {int(row): ImageError(files[int(row)], *told) for row, told in notes["bad"].items()}
        sums = notes["crc32"]
        rows = _map(path, (len(sums), *spec.canvas, 3))
        spread = np.random.default_rng().permutation(len(sums))[:CHECKED]  # other ones each time
        whole = len(sums) + len(bad) == len(files) and all(zlib.crc32(rows[row]) == sums[row] for row in spread)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return (rows, bad) if whole else None


def _map(path: Path, shape: tuple[int, ...]) -> Pixels:
    """The rows of a cache, read when they are needed. Raises OSError or ValueError where it is not of that shape."""
    with path.open("rb") as file:
        hold(file)  # for as long as the mapping lives, which has its own copy of the open file
        np.lib.format.read_magic(file)
        found = np.lib.format.read_array_header_1_0(file)
        if found != (shape, False, np.dtype(np.uint8)) or path.stat().st_size != file.tell() + math.prod(shape):
            raise ValueError("the file has another shape")
        return np.memmap(file, np.uint8, "r", file.tell(), shape)


def _readable_now(files: Sequence[str], spec: PixelSpec, bad: dict[int, ImageError]) -> bool:
    """Whether an image can be read that earlier could not be for a reason that passes."""
    for row in [row for row, error in bad.items() if error.transient][:RETRIED]:
        with contextlib.suppress(ImageError):
            read_canvas(files[row], spec)
            return True
    return False


def _key(files: Sequence[str], spec: PixelSpec) -> str:
    """Changes with the spec, the code that decodes, and any file's path, size or time of change."""
    sources = [source for name in CODE if (source := Path(preprocess.__file__).with_name(name)).is_file()]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    digest.update(f"{FORMAT} {PIL.__version__} {json.dumps(spec.to_json(), sort_keys=True)}".encode())
    for file in files:
        try:
            status = os.stat(file)
            line = f"{os.path.abspath(file)}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except OSError:
            line = f"{os.path.abspath(file)}\0missing\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]
