"""The cache of decoded images: all canvases of a data set in one memory-mapped file that later runs reuse."""

import contextlib
import io
import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError, OutputError
from infer.core.exclusive import one_at_a_time
from infer.core.file_sets import file_set, finish_interrupted
from infer.core.files import cache_folder, cannot_write, make_folder
from infer.core.parse import parse_json
from infer.core.text import size_text
from infer.dataset.table import Table
from infer.images.preprocess import PixelSpec, read_canvas
from trainer.data.cache_key import cache_key
from trainer.data.cache_limit import lock_shared, make_room, usage_text
from trainer.data.decode import DecodeResults, decode_files

CHECKED = 256
"""Rows that are compared with their checksums when a cache is opened."""
DECODED = 8
"""Images that are decoded again when a cache is opened, and compared with their rows."""
RETRIED = 64
"""Images with a transient error that are tried again when a cache is opened."""


class Cached(NamedTuple):
    """A cache that was opened."""

    rows: Pixels
    errors: dict[int, ImageError]
    """Of the images that have no row, by their index in the table."""
    checksums: tuple[int, ...]
    """crc32 of each row."""


@dataclass(frozen=True)
class Canvases:
    """The decoded images of a table, without those that cannot be read."""

    table: Table
    pixels_nhwc: Pixels
    """uint8 [n, canvas H, canvas W, 3], on disk; row i is the image of row i of `table`."""
    bad: tuple[ImageError, ...]
    """The errors of the images that were left out."""
    checksums: tuple[int, ...] = ()
    """crc32 of each row when it was decoded."""


def load_canvases(table: Table, spec: PixelSpec, workers: int | None, screen: Screen) -> Canvases:
    """Decode a table's images, or open the cache of them; unreadable images are left out.

    Args:
        table: the images.
        spec: how a file becomes a canvas.
        workers: number of processes that decode; None: all cores.
        screen: what the user sees.

    Raises:
        ConfigError: LAB_CACHE_GB is not a number above 0.
        OutputError: the cache cannot be written, or the canvases exceed its limit.
    """
    files = table.files()
    path = cache_folder() / "canvases" / f"{cache_key(files, spec)}.npy"
    size = len(files) * 3 * math.prod(spec.canvas)
    with one_at_a_time(path, screen.say, size):
        cached = _usable(path, files, spec, screen)
        if cached is None:
            _decode(files, spec, path, workers, screen)
            cached = _open(path, files, spec)
            screen.say(f"cache: {usage_text(path.parent)}")
    if cached is None:
        raise OutputError(f"{path} does not hold what was written; check the disk, or set LAB_CACHE to another folder")
    rows, errors, checksums = cached
    with contextlib.suppress(OSError):
        os.utime(path)  # the time of its last use
    good = [index for index in range(len(table)) if index not in errors]
    bad = tuple(ImageError(table.paths[index], error.reason, error.transient) for index, error in errors.items())
    return Canvases(table.take(good), rows, bad, checksums)


def _decode(files: Sequence[str], spec: PixelSpec, path: Path, workers: int | None, screen: Screen) -> None:
    """Write the canvases to `path`, and their checksums and the errors of unreadable images to a JSON file."""
    notes = path.with_suffix(".json")
    for old in (path, notes):
        with contextlib.suppress(OSError):
            old.unlink(missing_ok=True)
    make_room(make_folder(path.parent), len(files) * 3 * math.prod(spec.canvas))
    with file_set(path) as written:
        try:
            results = _write_canvases(files, spec, written.draft(path), workers, screen)
        except OSError as error:
            raise cannot_write(path, error) from error
        errors = {index: result for index, result in enumerate(results) if isinstance(result, ImageError)}
        content = {
            "bad": {index: (error.reason, error.transient) for index, error in errors.items()},
            "crc32": [result for result in results if not isinstance(result, ImageError)],
        }
        written.write_text(notes, json.dumps(content))


def _write_canvases(
    files: Sequence[str], spec: PixelSpec, draft: Path, workers: int | None, screen: Screen
) -> DecodeResults:
    """Write the canvases of the readable images to a draft. Raises OSError."""
    with draft.open("w+b") as out, screen.bar("decoding", len(files)) as bar:
        lock_shared(out)
        offset = _write_header(out, len(files), spec)
        out.truncate(offset + len(files) * 3 * math.prod(spec.canvas))
        results = decode_files(files, spec, draft, offset, workers, bar.step)
        good = [index for index, result in enumerate(results) if not isinstance(result, ImageError)]
        if len(good) < len(files):
            _close_gaps(out, offset, spec, good, len(files))
    return results


def _close_gaps(out: BinaryIO, offset: int, spec: PixelSpec, good: list[int], count: int) -> None:
    """Move the good ones of `count` rows to the front, in place, and cut the rest off."""
    rows = np.memmap(out, np.uint8, "r+", offset, (count, *spec.canvas, 3))
    for target, row in enumerate(good):
        if target != row:
            rows[target] = rows[row]
    rows.flush()
    del rows  # Windows cannot shorten a file that is mapped
    out.seek(0)
    _write_header(out, len(good), spec)  # has the same length: numpy pads it
    out.truncate(offset + len(good) * 3 * math.prod(spec.canvas))


def _write_header(out: BinaryIO, rows: int, spec: PixelSpec) -> int:
    """Write the header of a .npy file, and return its length in bytes."""
    out.write(_header((rows, *spec.canvas, 3)))
    out.flush()
    return out.tell()


def _header(shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file that holds uint8 values of this shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _open(path: Path, files: Sequence[str], spec: PixelSpec) -> Cached | None:
    """Open the cache at `path`; None where there is none, or a damaged one."""
    finish_interrupted(path, (path.name, path.with_suffix(".json").name))
    try:
        notes = parse_json(path.with_suffix(".json").read_text(encoding="utf-8"))
        errors = dict(_read_error(files, int(index), *values) for index, values in notes["bad"].items())
        checksums = notes["crc32"]
        rows = _map(path, (len(checksums), *spec.canvas, 3))
        checked = np.random.default_rng().permutation(len(checksums))[:CHECKED]  # different ones each time
        intact = len(checksums) + len(errors) == len(files)
        intact = intact and all(zlib.crc32(rows[row]) == checksums[row] for row in checked)
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return Cached(rows, errors, tuple(checksums)) if intact else None


def _read_error(files: Sequence[str], index: int, reason: object, transient: object) -> tuple[int, ImageError]:
    """The error of an image, and its index. Raises ValueError for values that `_decode` would not have written."""
    if not (0 <= index < len(files) and isinstance(reason, str) and isinstance(transient, bool)):
        raise ValueError("the error of an image has another type")
    return index, ImageError(files[index], reason, transient)


def _map(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Map the rows of a cache into memory. Raises OSError, or ValueError where it has another shape."""
    with path.open("rb") as file:
        lock_shared(file)  # until the mapping is closed, which has its own copy of the file descriptor
        header = _header(shape)
        # numpy's reader evaluates the header, and fails in as many ways as there are expressions
        if file.read(len(header)) != header or path.stat().st_size != len(header) + math.prod(shape):
            raise ValueError("the file has another shape")
        return np.memmap(file, np.uint8, "r", len(header), shape)


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
    if _readable_now(files, spec, cached.errors):
        return None
    screen.say(f"decoded images found in the cache: {size_text(cached.rows.nbytes)}")
    return cached


def _is_of_files(files: Sequence[str], spec: PixelSpec, cached: Cached) -> bool:
    """Decode a few images again and compare them with their rows; the key may miss a change (see `cache_key`)."""
    rows, errors = cached.rows, cached.errors
    good = [index for index in range(len(files)) if index not in errors]
    for row in np.random.default_rng().permutation(len(good))[:DECODED]:
        try:
            if not np.array_equal(read_canvas(files[good[row]], spec), rows[row]):
                return False
        except ImageError as error:
            if not error.transient:
                return False
    return True


def _readable_now(files: Sequence[str], spec: PixelSpec, errors: dict[int, ImageError]) -> bool:
    """Whether an image with a transient error can be read now."""
    for index in [index for index, error in errors.items() if error.transient][:RETRIED]:
        with contextlib.suppress(ImageError):
            read_canvas(files[index], spec)
            return True
    return False
