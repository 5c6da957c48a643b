"""From the cache to the device: uint8 canvases in batches, kept on the GPU where they fit and streamed where not."""

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
"""Of the GPU's free memory, what the images may take; the rest is the network's."""
SLOTS_CUDA, SLOTS_CPU = 4, 2
"""Batches that exist at once while they are streamed: the one that is being used, and those read ahead of it."""
GATHERERS = min(4, os.cpu_count() or 1)
"""Threads that copy the rows of one batch together; each page of a file that is not in memory yet stops one of them."""
PORTION = 32 * 2**20
"""Bytes of a piece while all images are copied to the GPU."""

Pieces = Sequence[NDArray[np.int64]]
"""The row numbers of each batch."""


class ResidentFeed:
    """All canvases in the device's memory.

    Attributes: resident (bool), True.
    """

    resident = True

    def __init__(self, pixels_nhwc: Pixels, device: torch.device) -> None:
        """Copy uint8 [n, H, W, 3] to the device, a portion at a time.

        Raises:
            torch.OutOfMemoryError: they do not fit.
        """
        count, self._shape = len(pixels_nhwc), pixels_nhwc.shape[1:]
        row_bytes = int(np.prod(self._shape))
        pixels = torch.empty((count, row_bytes), dtype=torch.uint8, device=device)
        step = max(1, PORTION // row_bytes)
        pieces = [np.arange(start, min(start + step, count)) for start in range(0, count, step)]
        for piece, batch in zip(pieces, StreamedFeed(pixels_nhwc, device).batches(pieces), strict=True):
            pixels[piece[0] : piece[-1] + 1] = batch.flatten(1)
        # rows are gathered eight bytes at a time where they divide so
        self._rows = pixels.view(torch.int64) if row_bytes % 8 == 0 else pixels

    def batches(self, pieces: Pieces) -> Iterator[Tensor]:
        """For each piece the canvases of its rows, uint8 [len(piece), H, W, 3] on the device, in order.

        Raises:
            IndexError: there is no such row.
        """
        _require_rows(pieces, len(self._rows))
        return self._batches(pieces)

    def _batches(self, pieces: Pieces) -> Iterator[Tensor]:
        rows = torch.from_numpy(np.concatenate([*pieces, np.empty(0, np.int64)]))
        if self._rows.is_cuda:
            rows = rows.pin_memory().to(self._rows.device, non_blocking=True)
        for start, end in pairwise(accumulate(map(len, pieces), initial=0)):
            batch = self._rows.index_select(0, rows[start:end])
            yield batch.view(torch.uint8).view(end - start, *self._shape)


class StreamedFeed:
    """Canvases read from the file as they are needed, by a thread that runs a few batches ahead.

    Attributes: resident (bool), False.
    """

    resident = False

    def __init__(self, pixels_nhwc: Pixels, device: torch.device) -> None:
        """`pixels_nhwc` is uint8 [n, H, W, 3], usually a memory-mapped file."""
        self._pixels = np.asarray(pixels_nhwc)
        self._device = device
        # one for the feed's life: memory that was allocated for one stream is not used again for another
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def batches(self, pieces: Pieces) -> Iterator[Tensor]:
        """For each piece the canvases of its rows, uint8 [len(piece), H, W, 3] on the device, in order.

        A batch is the caller's to keep. Closing the iterator ends its thread.

        Raises:
            IndexError: there is no such row.
        """
        _require_rows(pieces, len(self._pixels))
        return self._batches(pieces)

    def _batches(self, pieces: Pieces) -> Iterator[Tensor]:
        ring = _Ring(self._pixels, self._device, self._side, max(map(len, pieces), default=0))
        reader = Thread(target=ring.fill, args=(pieces,), name="batches", daemon=True)
        reader.start()
        try:
            for _ in pieces:
                yield ring.take()
                ring.give_back()
        finally:
            ring.stop()
            reader.join()


Feed = ResidentFeed | StreamedFeed


def open_feed(pixels_nhwc: Pixels, device: torch.device) -> Feed:
    """The canvases uint8 [n, H, W, 3] for a device: kept on a GPU where they take at most SHARE of its free memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if pixels_nhwc.nbytes <= SHARE * free:
            try:
                return ResidentFeed(pixels_nhwc, device)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()  # another process was quicker
    return StreamedFeed(pixels_nhwc, device)


class _Slot:
    """A place for one batch on its way.

    Attributes: pinned (Tensor or None), the host memory that a GPU copies from; used (Event or None), reached when the
    GPU has done all that the caller asked for up to now.
    """

    def __init__(self, pinned: Tensor | None) -> None:
        self.pinned = pinned
        self.used: torch.cuda.Event | None = None


class _Ring:
    """A few slots that go round between one thread that fills them and the caller that uses them, in order.

    On a GPU the copy runs on a stream of its own. A slot comes back with an event of the caller's stream, which has
    waited for the copy: once that is reached, the slot's memory may be written again, and the caller, who may run
    far ahead of the GPU, has no more batches on it than there are slots.
    """

    def __init__(self, pixels_nhwc: Pixels, device: torch.device, side: torch.cuda.Stream | None, largest: int) -> None:
        """`side` is the stream for copies to a GPU; `largest` is the number of images of the largest piece."""
        self._pixels, self._device, self._side = pixels_nhwc, device, side
        self._free: SimpleQueue[_Slot | None] = SimpleQueue()
        self._ready: SimpleQueue[tuple[_Slot, Tensor, torch.cuda.Event | None] | BaseException] = SimpleQueue()
        self._lent: _Slot | None = None
        self._stopped = False
        shape = (largest, *pixels_nhwc.shape[1:])
        for _ in range(SLOTS_CUDA if side else SLOTS_CPU):
            self._free.put(_Slot(torch.empty(shape, dtype=torch.uint8, pin_memory=True) if side else None))

    def fill(self, pieces: Pieces) -> None:
        """The thread's work: each piece into the next free slot. What fails is raised by `take`."""
        try:
            with ThreadPoolExecutor(GATHERERS, "gather") as pool:
                for piece in pieces:
                    slot = self._free.get()
                    if slot is None or self._stopped:
                        return
                    if slot.used:
                        slot.used.synchronize()
                    self._ready.put((slot, *self._send(slot, piece, pool)))
        except BaseException as error:  # noqa: BLE001  # all of it is the caller's
            self._ready.put(error)

    def take(self) -> Tensor:
        """The next batch, in the order of the caller's stream."""
        filled = self._ready.get()
        if isinstance(filled, BaseException):
            raise filled
        self._lent, batch, copied = filled
        if copied:
            caller = torch.cuda.current_stream(self._device)
            caller.wait_event(copied)
            batch.record_stream(caller)
        return batch

    def give_back(self) -> None:
        """The caller has asked the device for all that it wants of the last batch."""
        if self._lent and self._side:
            self._lent.used = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # no core spins
            self._lent.used.record(torch.cuda.current_stream(self._device))
        self._free.put(self._lent)

    def stop(self) -> None:
        """Let `fill` end."""
        self._stopped = True
        self._free.put(None)

    def _send(
        self, slot: _Slot, piece: NDArray[np.int64], pool: ThreadPoolExecutor
    ) -> tuple[Tensor, torch.cuda.Event | None]:
        """The rows on the device, and the event of their arrival; on a CPU they are in memory of their own."""
        if slot.pinned is None or self._side is None:
            batch = np.empty((len(piece), *self._pixels.shape[1:]), np.uint8)
            _gather(self._pixels, piece, batch)
            return torch.from_numpy(batch), None
        host = slot.pinned[: len(piece)]
        parts = np.array_split(np.arange(len(piece)), GATHERERS)
        spans = [slice(part[0], part[-1] + 1) for part in parts if len(part)]
        list(pool.map(lambda span: _gather(self._pixels, piece[span], host[span].numpy()), spans))
        with torch.cuda.stream(self._side):
            batch_on_device = host.to(self._device, non_blocking=True)
            return batch_on_device, self._side.record_event()


def _gather(pixels_nhwc: Pixels, rows: NDArray[np.int64], out: Pixels) -> None:
    # "clip" alone writes straight into `out`; there is nothing to clip, as the rows have been checked
    np.take(pixels_nhwc, rows, axis=0, out=out, mode="clip")


def _require_rows(pieces: Pieces, count: int) -> None:
    for piece in pieces:
        if len(piece) and not 0 <= piece.min() <= piece.max() < count:
            raise IndexError(f"rows {piece.min()} to {piece.max()} of {count} canvases")
