"""Answers kept in a file beside the CSV while they come, so that a killed prediction goes on where it stopped.

The file is a line of JSON that says of which prediction it is, then blocks: a block's length and crc32, eight bytes; a
line of JSON with its number of images and the errors by place; the probabilities of its readable images, float32. A
block that was half written when the machine stopped is dropped.
"""

import contextlib
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from infer.core.errors import DataError, ImageError, OutputError
from infer.core.files import cannot_write
from infer.core.remote import Remote
from infer.core.text import listed
from infer.images.archive import File, Member
from infer.pipeline.classify import Answer
from infer.pipeline.fingerprint import Identity

AFTER = 10.0
"""Seconds of work that may be lost: a prediction that takes less keeps no file, a longer one writes it as often."""
BLOCK = struct.Struct("<II")
HEADER_LIMIT = 65_536


def resuming(
    path: Path,
    identity: Callable[[], Identity],
    files: Sequence[File],
    size: int,
    answers: Callable[[int], Iterator[Answer]],
    say: Callable[[str], None],
) -> Generator[Answer, None, None]:
    """The answers for all files, those that `path` keeps first. The caller deletes it once it needs it no more.

    Args:
        path: the file that keeps them.
        identity: what must be the same for its answers to be those of this prediction, by what people call it.
        files: where the images lie.
        size: images a block, so that those which follow are batched as they would have been.
        answers: those for all files but the first so many.
        say: is told how many images are done already.

    Raises:
        DataError: the file belongs to another prediction, or an image has changed since.
        OutputError: it cannot be written.
    """
    done = end = 0
    if _has_header(path):
        with path.open("rb") as file:
            began = _read_began(path, file, identity())
            end = file.tell()
            for block in _read_blocks(file):
                if _may_be_readable_now(files[done : done + len(block)], block, began):
                    break  # done again from here on
                _require_unchanged(path, files[done : done + len(block)], block, began)
                done += len(block)
                end = file.tell()
                yield from block
        say(f"going on: {done} of {len(files)} images had been done, by {path}")
    keep = _Keeper(path, identity, end)
    try:
        rest = answers(done)
        while block := list(islice(rest, size)):
            keep.add(block)
            yield from block
    finally:
        keep.close()


class _Keeper:
    """Writes blocks, from AFTER seconds on."""

    def __init__(self, path: Path, identity: Callable[[], Identity], whole: int) -> None:
        """`whole`: bytes of the file that are good; 0 where there is none yet."""
        self.path, self.identity, self.whole = path, identity, whole
        self.began, self.written = time.time(), time.monotonic()
        self.waiting: list[bytes] = []
        self.file: BinaryIO | None = None

    def add(self, block: Sequence[Answer]) -> None:
        """Keep some answers; they are on disk AFTER seconds later at the latest. Raises OutputError."""
        self.waiting.append(_packed(block))
        if time.monotonic() - self.written >= AFTER:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises OutputError."""
        try:
            if self.file is None:
                self.file = self._open()
            self.file.write(b"".join(self.waiting))
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.waiting.clear()
        self.written = time.monotonic()

    def close(self) -> None:
        """Write what waits, if a file was begun or enough has been done."""
        with contextlib.suppress(Exception):
            if self.waiting and (self.file or self.whole):
                self.flush()
        if self.file:
            self.file.close()

    def _open(self) -> BinaryIO:
        header = b"" if self.whole else json.dumps({"began": self.began, **self.identity()}).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("r+b" if self.path.exists() else "xb")
        if not _locked(file):
            file.close()
            raise OutputError(f"another prediction writes {self.path} just now; wait for it, or give another --out")
        file.truncate(self.whole)
        file.seek(self.whole)
        file.write(header)
        return file


def _locked(file: BinaryIO) -> bool:
    """Take the file for this process alone, as long as it is open; true too where the system has no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        return not isinstance(error, BlockingIOError)
    return True


def _packed(block: Sequence[Answer]) -> bytes:
    bad = [(place, item.error) for place, item in enumerate(block) if item.error]
    errors = {place: (error.path, error.reason, error.transient) for place, error in bad}
    rows = [item.probabilities for item in block if item.probabilities is not None]
    content = json.dumps([len(block), errors]).encode() + b"\n" + b"".join(row.tobytes() for row in rows)
    return BLOCK.pack(len(content), zlib.crc32(content)) + content


def _read_blocks(file: BinaryIO) -> Iterator[list[Answer]]:
    """The whole blocks from here on; the file stands after each that is yielded."""
    while len(head := file.read(BLOCK.size)) == BLOCK.size:
        length, checksum = BLOCK.unpack(head)
        content = file.read(length)
        if len(content) < length or zlib.crc32(content) != checksum:
            return
        told, _, numbers = content.partition(b"\n")
        count, errors = json.loads(told)
        good = count - len(errors)
        rows = iter(np.frombuffer(numbers, np.float32).reshape(good, -1) if good else ())
        texts = [errors.get(str(place)) for place in range(count)]
        yield [Answer(error=ImageError(*text)) if text else Answer(next(rows)) for text in texts]


def _read_began(path: Path, file: BinaryIO, identity: Identity) -> float:
    """When the prediction that the file belongs to began, in seconds since 1970; the file then stands at its blocks."""
    remedy = "give --restart to begin anew"
    try:
        found = json.loads(file.readline(HEADER_LIMIT))
        began = float(found.pop("began"))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path} does not keep a prediction; {remedy}, or another --out") from error
    if others := [name for name in {**identity, **found} if identity.get(name) != found.get(name)]:
        raise DataError(
            f"{path} keeps an unfinished prediction with other {listed(others)}; {remedy}, or repeat that command"
        )
    return began


def _has_header(path: Path) -> bool:
    """Whether a prediction has got as far as to say which one it is; one that was killed before has kept nothing."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.readline(HEADER_LIMIT).endswith(b"\n")


def _may_be_readable_now(files: Sequence[File], block: Sequence[Answer], began: float) -> bool:
    """Whether an image that could not be read has been mended since, or was not to be had for a reason that passes."""
    for file, answer in zip(files, block, strict=True):
        if answer.error is not None:
            with contextlib.suppress(OSError):
                if answer.error.transient or _changed(file) > began:
                    return True
    return False


def _require_unchanged(path: Path, files: Sequence[File], block: Sequence[Answer], began: float) -> None:
    """Raises DataError where an image that was read has changed since: its answer would be that of another one."""
    for file, answer in zip(files, block, strict=True):
        with contextlib.suppress(OSError):
            if answer.error is None and _changed(file) > began:
                raise DataError(f"{file} has changed since {path} was begun; give --restart to begin anew")


def _changed(file: File) -> float:
    """When a file, or the archive around it, was changed or put there, in seconds since 1970. Raises OSError."""
    if isinstance(file, Remote):
        return file.changed()
    status = os.stat(file.archive if isinstance(file, Member) else file)
    return max(status.st_mtime, status.st_ctime)
