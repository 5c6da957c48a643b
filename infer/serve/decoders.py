"""Decodes uploaded images beside the server: in processes, each of which is replaced when it dies or is stuck."""

import contextlib
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

from infer.config import Tta
from infer.core.cpu import cores
from infer.core.errors import ImageError, LabError
from infer.images.dicom import open_dicom, read_header
from infer.images.formats import pillow_suffixes
from infer.images.parallel_map import THREADS, Process, ask, start_process
from infer.images.picture_file import open_header
from infer.images.preprocess import PixelSpec
from infer.images.tta import read_views
from infer.images.upload import Upload
from infer.pipeline.batches import Views

ATTEMPTS = 2
"""Processes that an image is given to: the first may have been killed by something else than the image."""


class Decoders:
    """A fixed number of decoders that work at the same time.

    Attributes:
        count: the number of decoders.
        threads: where `decode` is to be called; there are as many as decoders.
    """

    def __init__(self, count: int | None, max_pixels: int | None, timeout: float) -> None:
        """Start the processes.

        Args:
            count: of processes; 0: threads of this process decode; None: a process for each core.
            max_pixels: of an image; larger ones are refused by their header. None: as `lab predict`.
            timeout: seconds after which a process that still decodes an image is ended, within a tenth of them.
        """
        self._max_pixels, self._timeout = max_pixels, timeout
        processes = cores() if count is None else count
        self.count = processes or min(cores(), THREADS)
        self.threads = ThreadPoolExecutor(self.count, "decode")
        self._in_processes = processes > 0
        self._started = {start_process() for _ in range(processes)}
        self._watch = _Watch(timeout)
        self._free: SimpleQueue[Process] = SimpleQueue()
        for process in self._started:
            self._free.put(process)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [process.pid for process in self._started]

    def decode(self, specs: Sequence[PixelSpec], upload: Upload, tta: Tta = "none") -> Views | ImageError:
        """Decode one image: for each spec uint8 [views, window H, window W, 3], or the reason why it cannot be."""
        function = partial(decode_upload, tuple(specs), self._max_pixels, tta=tta)
        if not self._in_processes:
            return function(upload)
        process = self._free.get()
        try:
            for _ in range(ATTEMPTS):
                died = contextlib.suppress(EOFError, OSError, pickle.UnpicklingError)
                with self._watch.over(process) as late, died:
                    return ask(process, function, upload)
                process = self._replace(process)
                if late.is_set():
                    return ImageError(upload.name, f"decoding takes longer than {self._timeout:g} s")
            return ImageError(upload.name, "the decoder crashed")
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End all processes and threads."""
        self._watch.end()
        for process in self._started:
            process.kill()
        self.threads.shutdown(cancel_futures=True)
        for process in self._started:
            process.communicate()

    def _replace(self, process: Process) -> Process:
        """A new process instead of a dead one; the dead one where there is no more to be had."""
        self._started.discard(process)
        process.kill()
        process.communicate()
        with contextlib.suppress(OSError):
            process = start_process()
        self._started.add(process)
        return process


class _Watch:
    """Kills processes that take too long, from one thread: starting a timer for each image would slow the server."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._ended = seconds, threading.Event()
        self._lock = threading.Lock()
        self._busy: dict[Process, tuple[float, threading.Event]] = {}
        threading.Thread(target=self._kill_late, name="decode timeout", daemon=True).start()

    @contextlib.contextmanager
    def over(self, process: Process) -> Iterator[threading.Event]:
        """Kill a process that is still in this block when its time is over; the event says that it was killed."""
        late = threading.Event()
        with self._lock:
            self._busy[process] = time.monotonic() + self._seconds, late
        try:
            yield late
        finally:
            with self._lock:
                self._busy.pop(process, None)

    def end(self) -> None:
        """End the thread."""
        self._ended.set()

    def _kill_late(self) -> None:
        while not self._ended.wait(self._seconds / 10):
            now = time.monotonic()
            with self._lock:  # a process that has answered is out of the table before it is killed
                for process in [process for process, (until, _) in self._busy.items() if until < now]:
                    _, late = self._busy.pop(process)
                    late.set()
                    process.kill()


def decode_upload(
    specs: Sequence[PixelSpec], max_pixels: int | None, upload: Upload, tta: Tta = "none"
) -> Views | ImageError:
    """Decode one image for each spec, as `Decoders.decode` does; larger images than `max_pixels` are refused."""
    try:
        if max_pixels is not None:
            _require_small(upload, max_pixels)
        return tuple(read_views(upload, spec, tta) for spec in specs)
    except ImageError as error:
        return error
    except MemoryError:
        return ImageError(upload.name, "the memory of the server is exhausted", transient=True)
    except LabError as error:  # a library for this kind of file is not installed
        return ImageError(upload.name, str(error).removeprefix(f"{upload.name} "))


def _require_small(upload: Upload, max_pixels: int) -> None:
    """Raises ImageError for an image of too many pixels; what has no readable header is left to the decoder."""
    width = height = 0
    with contextlib.suppress(Exception):  # Pillow's plugins raise almost anything on a damaged header
        width, height = _size(upload)
    if width * height > max_pixels:
        raise ImageError(upload.name, f"{width} x {height} pixels, more than {max_pixels / 1e6:g} million")


def _size(upload: Upload) -> tuple[int, int]:
    """Width and height of an image, from its header."""
    if not upload.name.lower().endswith(pillow_suffixes()) and (content := open_dicom(upload)):
        with content:
            header = read_header(content, upload.name)
        return int(header.Columns), int(header.Rows)
    with open_header(upload) as image:
        return image.size
