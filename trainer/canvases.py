"""Decoded images for training: every canvas once, in one memory-mapped file that later runs find again."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL

from infer import pixels
from infer.errors import ImageError
from infer.files import cache_folder, replacing, write_text
from infer.pipeline import DECODERS, read_ahead
from infer.pixels import Pixels, PixelSpec, read_canvas
from infer.screen import Screen
from infer.table import Table

CACHE_BYTES = 20 * 2**30
"""The canvases of all data sets together take no more disk than this; those unused for longest go first."""
DRAFT_AGE = 24 * 3600.0
"""Seconds after which a draft belongs to no running process."""


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

    Raises:
        OutputError: the cache cannot be written.
    """
    files = table.files()
    path = cache_folder() / "canvases" / f"{_key(files, spec)}.npy"
    notes = path.with_suffix(".json")
    if path.is_file() and notes.is_file():
        reasons = {int(row): reason for row, reason in json.loads(notes.read_text(encoding="utf-8")).items()}
    else:
        _make_room(path.parent, len(files) * 3 * spec.canvas[0] * spec.canvas[1])
        errors = _decode_all(files, spec, path, workers or DECODERS, screen)
        reasons = {row: error.reason for row, error in errors.items()}
        if not any(error.transient for error in errors.values()):  # otherwise the next run tries them again
            write_text(notes, json.dumps(reasons))
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    good = [row for row in range(len(table)) if row not in reasons]
    bad = tuple(ImageError(table.paths[row], reason) for row, reason in reasons.items())
    return Canvases(table.take(good), np.load(path, mmap_mode="r"), bad)


def _decode_all(
    files: Sequence[str], spec: PixelSpec, path: Path, workers: int, screen: Screen
) -> dict[int, ImageError]:
    """Write every readable canvas to `path`; row number and error of the others."""
    bad: dict[int, ImageError] = {}
    with replacing(path) as draft, draft.open("wb") as out, screen.bar("decoding", len(files)) as bar:
        _write_header(out, len(files), spec)
        for row, canvas in enumerate(read_ahead(files, lambda file: read_canvas(file, spec), workers)):
            bar.step(row + 1)
            if isinstance(canvas, ImageError):
                bad[row] = canvas
            else:
                out.write(canvas.tobytes())
        out.seek(0)
        _write_header(out, len(files) - len(bad), spec)
    return bad


def _write_header(out, rows: int, spec: PixelSpec) -> None:  # type: ignore[no-untyped-def]  # any binary file
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *spec.canvas, 3)}
    np.lib.format.write_array_header_1_0(out, header)


def _key(files: Sequence[str], spec: PixelSpec) -> str:
    """Changes with the spec, the code that decodes, and any file's path, size or time of change."""
    code = Path(pixels.__file__).read_bytes()  # what another version decoded is not found again
    digest = hashlib.sha256(code + PIL.__version__.encode() + json.dumps(spec.to_json(), sort_keys=True).encode())
    for file in files:
        try:
            status = os.stat(file)
            line = f"{os.path.abspath(file)}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except OSError:
            line = f"{os.path.abspath(file)}\0missing\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _make_room(folder: Path, needed: int) -> None:
    """Delete the canvases that were used longest ago until `needed` bytes fit under CACHE_BYTES."""
    with contextlib.suppress(OSError):  # another process may be tidying up too
        found = [(path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.npy")]
        # a hidden file is a draft: another process's, or, when it is old, left by one that was killed
        kept = sorted(item for item in found if not item[2].name.startswith(".") or item[0] < time.time() - DRAFT_AGE)
        while kept and sum(size for _, size, _ in kept) + needed > CACHE_BYTES:
            _, _, oldest = kept.pop(0)
            oldest.unlink(missing_ok=True)
            oldest.with_suffix(".json").unlink(missing_ok=True)
