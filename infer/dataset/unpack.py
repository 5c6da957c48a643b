"""Images inside files, unpacked once into lab's cache, so that everything else works on ordinary files.

The folder of a data set in the cache holds its images, `metadata.tsv` with what the files say of each (a labels table,
so that columns are found or named as in any other), and `unpacked.json`, which tells what it was made from.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.cpu import cores
from infer.core.drafts import draft_folder
from infer.core.exclusive import one_at_a_time
from infer.core.files import cache_folder, cannot_write, make_folder, write_text
from infer.core.formulas import guarded
from infer.core.parse import parse_json
from infer.core.text import listed, size_text
from infer.dataset.packed import Contents, Packed
from infer.images.parallel_map import THREADS, in_order

FILE_NAME, METADATA, MARKER = "file_name", "metadata.tsv", "unpacked.json"
VERSION = 1
"""Version of the unpacked files' format; folders of another version are made again."""
PNG_LEVEL = 1
"""Deflate's fastest level: compressing is most of the work of unpacking arrays."""
AHEAD = 64
"""Images in memory at once."""
MAX_CELL = 256
"""Characters; a column with a longer value, such as a report, holds neither labels nor patients and is not kept."""
ABANDONED = 24 * 3600
"""Seconds after which the draft of an unpacking that was killed is deleted."""


def unpack(packed: Packed, screen: Screen) -> Path:
    """The folder in the cache with the images of a data set, which are unpacked unless they were before; it is said.

    A folder that is incomplete, or was made before the files changed, is made again. It appears whole or not at all.

    Raises:
        DataError, MissingExtraError: as the kind's reader.
        OutputError: the cache cannot be written.
    """
    source = os.path.realpath(packed.path)
    key = hashlib.sha256(os.fsencode(source)).hexdigest()[:12]
    folder = cache_folder() / "unpacked" / f"{packed.name}-{key}"
    with one_at_a_time(folder, screen.say):
        return _unpack_alone(packed, folder, screen)


def _unpack_alone(packed: Packed, folder: Path, screen: Screen) -> Path:
    signature = _signature(packed)
    size = _size_if_complete(folder, signature)
    if size is not None:
        screen.say(f"images of {packed.path} found unpacked in {folder}: {size_text(size)}")
        return folder
    _delete_abandoned(make_folder(folder.parent))
    contents = packed.kind.read(packed)
    try:
        with draft_folder(folder) as draft:
            columns = _write_images(contents, draft, screen)
            columns.write(draft / METADATA)
            size = _write_marker(draft, signature, contents)
            _publish(draft, folder, signature)
    except OSError as error:
        raise cannot_write(folder, error) from error
    if contents.left_out:
        screen.say(f"left out: {len(contents.left_out)} samples without an image: {listed(contents.left_out)}")
    screen.say(
        f"unpacked {packed.path} into {folder}: {len(columns)} images, {size_text(size)}; LAB_CACHE_GB "
        "does not limit them: delete the folder to free the space"
    )
    return folder


class _Columns:
    """What the files say of each image, as columns of one length."""

    def __init__(self) -> None:
        self._cells: dict[str, list[str]] = {FILE_NAME: []}
        self._dropped: set[str] = set()
        self._texts: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._cells[FILE_NAME])

    def add(self, path: str, fields: Mapping[str, str]) -> None:
        """Add a row; a column that was not known before is blank above it."""
        count = len(self)
        for name, value in ({**fields, FILE_NAME: path}).items():
            if len(value) > MAX_CELL or "\0" in value:
                self._dropped.add(name)
                self._cells.pop(name, None)
            if name not in self._dropped:
                column = self._cells.setdefault(name, [])
                column += [""] * (count - len(column))
                column.append(self._texts.setdefault(value, value) if name != FILE_NAME else value)

    def write(self, path: Path) -> None:
        """Write them as a labels table. Raises OSError."""
        count = len(self)
        columns = [column + [""] * (count - len(column)) for column in self._cells.values()]
        text = io.StringIO()
        rows = [list(self._cells), *zip(*columns, strict=True)]
        csv.writer(text, delimiter="\t").writerows(map(guarded, row) for row in rows)
        write_text(path, text.getvalue())


def _write_images(contents: Contents, draft: Path, screen: Screen) -> _Columns:
    """Write all images below `draft`, several at once. Raises OSError, and DataError of the reader."""
    columns = _Columns()
    tasks = _tasks(contents, draft, columns)
    with (
        screen.bar("unpacking", contents.count) as bar,
        contextlib.closing(in_order(_save, tasks, min(THREADS, cores()), AHEAD)) as saved,
    ):
        for done, _ in enumerate(saved, 1):
            bar.step(done)
    return columns


def _tasks(contents: Contents, draft: Path, columns: _Columns) -> Iterator[tuple[Path, Pixels | bytes]]:
    taken: set[str] = set()
    folders: set[Path] = set()
    for item in contents.items:
        path = item.path
        while path.casefold() in taken:  # as some disks compare names
            folder, _, name = path.rpartition("/")
            path = f"{folder}/{len(columns)}/{name}"
        taken.add(path.casefold())
        columns.add(path, item.fields)
        file = draft / path
        if file.parent not in folders:
            file.parent.mkdir(parents=True, exist_ok=True)
            folders.add(file.parent)
        yield file, item.content


def _save(task: tuple[Path, Pixels | bytes]) -> None:
    path, content = task
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).save(path, compress_level=PNG_LEVEL)


def _write_marker(draft: Path, signature: Mapping[str, Any], contents: Contents) -> int:
    """Write what the folder was made from and what is in it; its size in bytes. Raises OSError."""
    files, size = _extent(draft)
    class_names = {name: list(names) for name, names in contents.class_names.items()}
    marker = {"signature": signature, "files": files, "bytes": size, "class_names": class_names}
    write_text(draft / MARKER, json.dumps(marker))
    return size


def _publish(draft: Path, folder: Path, signature: Mapping[str, Any]) -> None:
    """Give the finished draft its name, unless another process did so with its own meanwhile. Raises OSError."""
    if hasattr(os, "sync"):
        os.sync()  # once, in place of a flush of every image
    if _size_if_complete(folder, signature) is not None:
        return
    if folder.exists():
        with draft_folder(folder) as old:
            os.replace(folder, old / folder.name)
            os.replace(draft, folder)
        return
    os.replace(draft, folder)


def _signature(packed: Packed) -> dict[str, Any]:
    """What tells whether the files are as they were: names, sizes and times of all that are read."""
    files = [file for main in packed.files for file in (main, *packed.kind.beside(main))]
    stats = [(os.path.realpath(file), file.stat()) for file in files]
    return {
        "version": VERSION,
        "kind": packed.kind.title,
        "files": [[name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in stats],
    }


def _are_names(class_names: object) -> bool:
    """Whether these are columns, each with the names of its classes."""
    lists = list(class_names.values()) if isinstance(class_names, dict) else [None]
    return all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)


def _size_if_complete(folder: Path, signature: Mapping[str, Any]) -> int | None:
    """The size in bytes of a folder that was made from these files and has lost none of its own; otherwise None."""
    try:
        marker = parse_json((folder / MARKER).read_text(encoding="utf-8"))
        files, size = _extent(folder)
        complete = (marker["signature"], marker["files"], marker["bytes"]) == (signature, files, size)
        complete = complete and _are_names(marker["class_names"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if complete else None


def _extent(folder: Path) -> tuple[int, int]:
    """How many files are below a folder, but for the marker, and their bytes. Raises OSError."""
    files = size = 0
    pending = [os.fspath(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.name != MARKER:
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return files, size


def _delete_abandoned(folder: Path) -> None:
    for draft in folder.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > ABANDONED:
                shutil.rmtree(draft)
