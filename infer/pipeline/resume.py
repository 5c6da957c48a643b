"""A progress file beside the CSV, so that a prediction that was killed resumes where it stopped.

The file starts with a line of JSON: the prediction's fingerprint and when it began. Blocks follow, one for each batch:
the block's length and crc32, eight bytes; a line of JSON with its number of images and the errors by their index in the
batch; the probabilities of its readable images, float32. A block that was only half written when the machine stopped is
dropped.
"""

import contextlib
import json
import math
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
from infer.core.locks import try_lock
from infer.core.parse import parse_json
from infer.core.remote import Remote
from infer.core.text import listed
from infer.images.archive import File, Member
from infer.images.upload import Upload
from infer.pipeline.classify import ImagePrediction
from infer.pipeline.fingerprint import Fingerprint

INTERVAL = 10.0
"""Seconds between writes, and the work that can be lost; a prediction that takes less time leaves no file."""
BLOCK = struct.Struct("<II")
HEADER_LIMIT = 65_536
RESTART = "give --restart to discard it"


class Progress:
    """The predictions of an unfinished `lab predict`, in a file; a context manager that closes it.

    First take the predictions that the file holds, `saved()`; then pass those of all later images through `saving()`.

    Attributes:
        count: the number of images whose predictions `saved()` has yielded.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: Fingerprint,
        files: Sequence[File],
        batch_size: int,
        classes: int,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            path: the progress file.
            fingerprint: must match that of the file.
            files: all images of the prediction.
            batch_size: the number of images in a block; the rest then forms the same batches as in an unbroken run.
            classes: the number of probabilities of an image.
            say: is called with a line for the user where a prediction is resumed.
        """
        self.path, self.fingerprint, self.files, self.batch_size = path, fingerprint, files, batch_size
        self.classes, self.say = classes, say
        self.count = 0
        self._began, self._written = time.time(), time.monotonic()
        self._valid_bytes = 0
        self._waiting: list[bytes] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        """Write what waits, if a file was begun, and close it."""
        with contextlib.suppress(Exception):  # another error may be on its way; what waits can be predicted again
            if self._waiting and (self._file or self._valid_bytes):
                self._flush()
        if self._file:
            self._file.close()

    def saved(self) -> Iterator[ImagePrediction]:
        """Yield the predictions that the file holds, up to the first image to predict again.

        Raises:
            DataError: the file belongs to another prediction or is damaged, or an image has changed since.
        """
        if not _has_header(self.path):
            return
        with self.path.open("rb") as file:
            began = _read_header(self.path, file, self.fingerprint)
            self._valid_bytes = file.tell()
            for content in _read_blocks(file):
                block = _unpacked(self.path, content, len(self.files) - self.count, self.classes)
                files = self.files[self.count : self.count + len(block)]
                if _may_be_readable_now(files, block, began):
                    break
                _require_unchanged(self.path, files, block, began)
                self.count += len(block)
                self._valid_bytes = file.tell()
                yield from block
        self.say(f"resuming: {self.count} of {len(self.files)} images are already predicted in {self.path}")

    def saving(self, predictions: Generator[ImagePrediction, None, None]) -> Iterator[ImagePrediction]:
        """Yield the predictions of the images from `count` on; each block is kept before its first image is yielded.

        Raises:
            DataError: a model file was replaced since it was opened.
            OutputError: the file cannot be written.
        """
        with contextlib.closing(predictions):
            while block := list(islice(predictions, self.batch_size)):
                self._waiting.append(_packed(block))
                if time.monotonic() - self._written >= INTERVAL:
                    self._flush()
                yield from block

    def delete(self) -> None:
        """Delete the file, if there is one. Raises OutputError where it cannot be, or another process writes it."""
        try:
            if self._file is None:
                with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
                    if try_lock(file.fileno()) is False:
                        raise _in_use(self.path)
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _flush(self) -> None:
        """Write what waits. Raises OutputError."""
        try:
            if self._file is None:
                self._file = self._open()
            content = b"".join(self._waiting)
            self._waiting.clear()  # before they are written: after a failure it is not known how much of them is there
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._written = time.monotonic()

    def _open(self) -> BinaryIO:
        """Open the file for this process alone, after its valid bytes; a new one begins with the header."""
        header = b""
        if not self._valid_bytes:
            header = json.dumps({"began": self._began, **self.fingerprint.parts()}).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("r+b" if self.path.exists() else "xb")
        if try_lock(file.fileno()) is False:
            file.close()
            raise _in_use(self.path)
        file.truncate(self._valid_bytes)
        file.seek(self._valid_bytes)
        file.write(header)
        return file


def _in_use(path: Path) -> OutputError:
    return OutputError(f"another prediction is writing {path}; wait for it, or give another --out")


def _packed(block: Sequence[ImagePrediction]) -> bytes:
    bad = [(index, item.error) for index, item in enumerate(block) if item.error]
    errors = {index: (error.path, error.reason, error.transient) for index, error in bad}
    rows = [item.probabilities for item in block if item.probabilities is not None]
    content = json.dumps([len(block), errors]).encode() + b"\n" + b"".join(row.tobytes() for row in rows)
    return BLOCK.pack(len(content), zlib.crc32(content)) + content


def _unpacked(path: Path, content: bytes, most: int, classes: int) -> list[ImagePrediction]:
    """Inverse of `_packed`. Raises DataError for what is none, or for more than `most` images."""
    line, _, numbers = content.partition(b"\n")
    try:
        count, errors = parse_json(line)
        if not 0 < count <= most or not {str(index) for index in range(count)}.issuperset(errors):
            raise ValueError("it has other images than the prediction")
        causes = [_error(*errors[str(index)]) if str(index) in errors else None for index in range(count)]
        rows = iter(np.frombuffer(numbers, np.float32).reshape(causes.count(None), classes))
        return [ImagePrediction(error=why) if why else ImagePrediction(next(rows)) for why in causes]
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(f"{path} is damaged ({error}); {RESTART}, or give another --out") from error


def _error(path: str, reason: str, transient: bool) -> ImageError:
    if not isinstance(path, str) or not isinstance(reason, str) or not isinstance(transient, bool):
        raise TypeError("it has an error that lab did not write")
    return ImageError(path, reason, transient)


def _read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of the complete blocks from the file's position on; it then stands after the block."""
    while len(head := file.read(BLOCK.size)) == BLOCK.size:
        length, checksum = BLOCK.unpack(head)
        content = file.read(length)
        if len(content) < length or zlib.crc32(content) != checksum:
            return
        yield content


def _has_header(path: Path) -> bool:
    """Whether the file has its first line; a prediction that was killed before it wrote one has saved nothing."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.readline(HEADER_LIMIT).endswith(b"\n")


def _read_header(path: Path, file: BinaryIO, fingerprint: Fingerprint) -> float:
    """Read when the prediction began, in seconds since 1970; the file then stands at its first block.

    Raises:
        DataError: the file has another fingerprint, or none.
    """
    expected = fingerprint.parts()
    try:
        header = parse_json(file.readline(HEADER_LIMIT))
        began = float(header.pop("began"))
        if not math.isfinite(began):  # no file would have changed since
            raise ValueError(f"it began at {began}")
    except (ValueError, OverflowError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path} is not a progress file of lab predict; {RESTART}, or give another --out") from error
    if differing := [name for name in {**expected, **header} if expected.get(name) != header.get(name)]:
        raise DataError(
            f"{path} holds an unfinished prediction with other {listed(differing)}; {RESTART}, or repeat that command"
        )
    return began


def _may_be_readable_now(files: Sequence[File], block: Sequence[ImagePrediction], began: float) -> bool:
    """Whether an unreadable image was replaced since, or could not be read for a reason that may have passed."""
    for file, prediction in zip(files, block, strict=True):
        if prediction.error is not None:
            with contextlib.suppress(OSError):
                if prediction.error.transient or _changed(file) > began:
                    return True
    return False


def _require_unchanged(path: Path, files: Sequence[File], block: Sequence[ImagePrediction], began: float) -> None:
    """Raises DataError where an image has changed since it was predicted."""
    for file, prediction in zip(files, block, strict=True):
        with contextlib.suppress(OSError):
            if prediction.error is None and _changed(file) > began:
                raise DataError(f"{file} has changed since {path} was begun; {RESTART} and predict all images again")


def _changed(file: File) -> float:
    """When a file, or the archive around it, was changed or put there, in seconds since 1970. Raises OSError."""
    if isinstance(file, Remote | Upload):
        return file.changed()
    status = os.stat(file.archive if isinstance(file, Member) else file)
    return max(status.st_mtime, status.st_ctime)
