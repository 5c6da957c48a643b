"""Loading canvases from the cache to the device in batches: kept on the GPU where they fit, otherwise streamed."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from queue import SimpleQueue
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infer.core.arrays import Pixels

SHARE = 0.4
"""Largest share of the GPU's free memory that canvases may take; the rest is for the network."""
SLOTS_CUDA, SLOTS_CPU = 4, 2
"""Batches in memory at once while streaming: the current one, and those read ahead."""
GATHERERS = min(4, os.cpu_count() or 1)
"""Threads that copy the rows of a batch together; a page of the file that is not in memory yet blocks one of them."""
PORTION = 32 * 2**20
"""Bytes per copy while all canvases are copied to the GPU."""

BatchRows = Sequence[NDArray[np.int64]]
"""The row indices of each batch."""


class ResidentLoader:
    """Keeps all canvases in the device's memory.

    Attributes: resident (bool), True.
    """

    resident = True

    def __init__(self, pixels_nhwc: Pixels, device: torch.device) -> None:
        """Copy canvases uint8 [n, H, W, 3] to the device, in portions.

        Raises:
            torch.OutOfMemoryError: they do not fit.
        """
        count, self._shape = len(pixels_nhwc), pixels_nhwc.shape[1:]
        row_bytes = int(np.prod(self._shape))
        pixels = torch.empty((count, row_bytes), dtype=torch.uint8, device=device)
        step = max(1, PORTION // row_bytes)
        portions = [np.arange(start, min(start + step, count)) for start in range(0, count, step)]
        for portion, batch in zip(portions, StreamingLoader(pixels_nhwc, device).batches(portions), strict=True):
            pixels[portion[0] : portion[-1] + 1] = batch.flatten(1)
        # gathering is faster in units of eight bytes
        self._rows = pixels.view(torch.int64) if row_bytes % 8 == 0 else pixels

    def batches(self, batch_rows: BatchRows) -> Iterator[Tensor]:
        """The canvases of each batch, uint8 [len(rows), H, W, 3] on the device, in order.

        Raises:
            IndexError: a row is out of range.
        """
        _require_in_range(batch_rows, len(self._rows))
        return self._batches(batch_rows)

    def _batches(self, batch_rows: BatchRows) -> Iterator[Tensor]:
        rows = torch.from_numpy(np.concatenate([*batch_rows, np.empty(0, np.int64)]))
        if self._rows.is_cuda:
            rows = rows.pin_memory().to(self._rows.device, non_blocking=True)
        for start, end in pairwise(accumulate(map(len, batch_rows), initial=0)):
            batch = self._rows.index_select(0, rows[start:end])
            yield batch.view(torch.uint8).view(end - start, *self._shape)


class StreamingLoader:
    """Reads canvases from the file when they are needed, in a thread that runs a few batches ahead.

    Attributes: resident (bool), False.
    """

    resident = False

    def __init__(self, pixels_nhwc: Pixels, device: torch.device) -> None:
        """`pixels_nhwc` is uint8 [n, H, W, 3], usually a memory-mapped file."""
        self._pixels = np.asarray(pixels_nhwc)
        self._device = device
        # one stream for the loader's life: memory allocated for a stream is not reused for another
        self._copy_stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def batches(self, batch_rows: BatchRows) -> Iterator[Tensor]:
        """The canvases of each batch, uint8 [len(rows), H, W, 3] on the device, in order.

        The caller may keep a batch: its memory is not reused. Closing the iterator ends its thread.

        Raises:
            IndexError: a row is out of range.
        """
        _require_in_range(batch_rows, len(self._pixels))
        return self._batches(batch_rows)

    def _batches(self, batch_rows: BatchRows) -> Iterator[Tensor]:
        ring = _Ring(self._pixels, self._device, self._copy_stream, max(map(len, batch_rows), default=0))
        reader = Thread(target=ring.fill, args=(batch_rows,), name="batches", daemon=True)
        reader.start()
        try:
            for _ in batch_rows:
                yield ring.take()
                ring.release()
        finally:
            ring.stop()
            reader.join()


DeviceLoader = ResidentLoader | StreamingLoader


def open_loader(pixels_nhwc: Pixels, device: torch.device) -> DeviceLoader:
    """A loader of canvases uint8 [n, H, W, 3]: on a GPU, resident where they take at most SHARE of its free memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if pixels_nhwc.nbytes <= SHARE * free:
            try:
                return ResidentLoader(pixels_nhwc, device)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()  # another process has taken the memory meanwhile
    return StreamingLoader(pixels_nhwc, device)


class _Slot:
    """Memory for one batch.

    Attributes: pinned (Tensor or None), the host memory that a GPU copies from; used (Event or None), which the GPU
    reaches when it has finished all work on the batch that the caller queued.
    """

    def __init__(self, pinned: Tensor | None) -> None:
        self.pinned = pinned
        self.used: torch.cuda.Event | None = None


class _Ring:
    """A ring buffer of a few slots between a thread that fills them and the caller that uses them, in order.

    On a GPU, copies run on a stream of their own. A slot is released with an event on the caller's stream, which has
    waited for the copy. Once the GPU has reached the event, the slot's memory may be overwritten; so the caller, who
    may run far ahead of the GPU, has no more batches on it than there are slots.
    """

    def __init__(
        self, pixels_nhwc: Pixels, device: torch.device, copy_stream: torch.cuda.Stream | None, largest: int
    ) -> None:
        """`copy_stream` is the stream for copies to a GPU; `largest` is the number of images in the largest batch."""
        self._pixels, self._device, self._copy_stream = pixels_nhwc, device, copy_stream
        self._free: SimpleQueue[_Slot | None] = SimpleQueue()
        self._ready: SimpleQueue[tuple[_Slot, Tensor, torch.cuda.Event | None] | BaseException] = SimpleQueue()
        self._current: _Slot | None = None
        self._stopped = False
        shape = (largest, *pixels_nhwc.shape[1:])
        for _ in range(SLOTS_CUDA if copy_stream else SLOTS_CPU):
            self._free.put(_Slot(torch.empty(shape, dtype=torch.uint8, pin_memory=True) if copy_stream else None))

    def fill(self, batch_rows: BatchRows) -> None:
        """Load each batch into the next free slot, in a thread of its own; `take` raises its errors."""
        try:
            with ThreadPoolExecutor(GATHERERS, "gather") as pool:
                for rows in batch_rows:
                    slot = self._free.get()
                    if slot is None or self._stopped:
                        return
                    if slot.used:
                        slot.used.synchronize()
                    self._ready.put((slot, *self._load(slot, rows, pool)))
        except BaseException as error:  # noqa: BLE001  # all errors go to the caller
            self._ready.put(error)

    def take(self) -> Tensor:
        """The next batch, ready for work on the caller's stream."""
        result = self._ready.get()
        if isinstance(result, BaseException):
            raise result
        self._current, batch, copied = result
        if copied:
            caller = torch.cuda.current_stream(self._device)
            caller.wait_event(copied)
            batch.record_stream(caller)
        return batch

    def release(self) -> None:
        """Free the slot of the last batch; the caller has queued all work on it."""
        if self._current and self._copy_stream:
            # blocking: the thread that waits for it does not spin
            self._current.used = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._current.used.record(torch.cuda.current_stream(self._device))
        self._free.put(self._current)

    def stop(self) -> None:
        """End `fill`."""
        self._stopped = True
        self._free.put(None)

    def _load(
        self, slot: _Slot, rows: NDArray[np.int64], pool: ThreadPoolExecutor
    ) -> tuple[Tensor, torch.cuda.Event | None]:
        """The rows on the device, and the event of their arrival; on a CPU in newly allocated memory, and None."""
        if slot.pinned is None or self._copy_stream is None:
            batch = np.empty((len(rows), *self._pixels.shape[1:]), np.uint8)
            _gather(self._pixels, rows, batch)
            return torch.from_numpy(batch), None
        host = slot.pinned[: len(rows)]
        parts = np.array_split(np.arange(len(rows)), GATHERERS)
        spans = [slice(part[0], part[-1] + 1) for part in parts if len(part)]
        list(pool.map(lambda span: _gather(self._pixels, rows[span], host[span].numpy()), spans))
        with torch.cuda.stream(self._copy_stream):
            batch_on_device = host.to(self._device, non_blocking=True)
            return batch_on_device, self._copy_stream.record_event()


def _gather(pixels_nhwc: Pixels, rows: NDArray[np.int64], out: Pixels) -> None:
    # only "clip" writes directly into `out`; nothing is clipped, since the rows have been checked
    np.take(pixels_nhwc, rows, axis=0, out=out, mode="clip")


def _require_in_range(batch_rows: BatchRows, count: int) -> None:
    for rows in batch_rows:
        if len(rows) and not 0 <= rows.min() <= rows.max() < count:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {count} canvases")
