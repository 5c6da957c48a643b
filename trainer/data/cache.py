"""Decoded images for training: every canvas once, in one memory-mapped file that later runs find again."""

import contextlib
import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError, OutputError
from infer.core.files import atomic_write, cache_folder, make_folder, write_text
from infer.core.text import size_text
from infer.dataset.table import Table
from infer.images.preprocess import PixelSpec, read_canvas
from trainer.data.cache_key import cache_key
from trainer.data.cache_limit import hold, make_room, usage_text
from trainer.data.decode import decode_files

CHECKED = 256
"""Rows that are compared with their checksums when a cache is opened."""
DECODED = 8
"""Images that are decoded again when a cache is opened, and compared with their rows."""
RETRIED = 64
"""Images with a transient error that are tried again when a cache is opened."""


Cached = tuple[Pixels, dict[int, ImageError]]
"""The rows of a cache, and the errors of the images that have none, by their index in the table."""


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
    path = cache_folder() / "canvases" / f"{cache_key(files, spec)}.npy"
    cached = _usable(path, files, spec, screen)
    if cached is None:
        _decode(files, spec, path, workers, screen)
        cached = _open(path, files, spec)
        screen.say(f"cache: {usage_text(path.parent)}")
    if cached is None:
        raise OutputError(f"{path} does not hold what was written; check the disk, or set LAB_CACHE to another folder")
    rows, reasons = cached
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


def _open(path: Path, files: Sequence[str], spec: PixelSpec) -> Cached | None:
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


def _usable(path: Path, files: Sequence[str], spec: PixelSpec, screen: Screen) -> Cached | None:
    """The cache at `path`; None where the images must be decoded."""
    cached = _open(path, files, spec)
    if cached is None:
        if path.exists():
            screen.say("the cache of decoded images is damaged: decoding again")
        return None
    if not _is_of_files(files, spec, cached):
        screen.say("the images are not those in the cache of decoded images: decoding again")
        return None
    if _readable_now(files, spec, cached[1]):
        return None
    screen.say(f"decoded images found in the cache: {size_text(cached[0].nbytes)}")
    return cached


def _is_of_files(files: Sequence[str], spec: PixelSpec, cached: Cached) -> bool:
    """Decode a few images again and compare them with their rows; the key may miss a change (see `cache_key`)."""
    rows, errors = cached
    good = [index for index in range(len(files)) if index not in errors]
    for row in np.random.default_rng().permutation(len(good))[:DECODED]:
        try:
            if not np.array_equal(read_canvas(files[good[row]], spec), rows[row]):
                return False
        except ImageError as error:
            if not error.transient:
                return False
    return True


def _readable_now(files: Sequence[str], spec: PixelSpec, bad: dict[int, ImageError]) -> bool:
    """Whether an image can be read that earlier could not be for a reason that passes."""
    for row in [row for row, error in bad.items() if error.transient][:RETRIED]:
        with contextlib.suppress(ImageError):
            read_canvas(files[row], spec)
            return True
    return False
