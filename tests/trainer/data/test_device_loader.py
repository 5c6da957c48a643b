import gc
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import trainer.data.device_loader
from infer.core.arrays import Pixels
from trainer.data.device_loader import DeviceLoader, ResidentLoader, StreamingLoader, open_loader

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
PIECES = [np.array(rows, dtype=np.int64) for rows in ([4, 1, 4], [0], [], [9, 8, 7, 6, 5, 3, 2], [1, 0])]


@pytest.fixture
def pixels(tmp_path: Path) -> Pixels:
    """Ten canvases of noise in a file, 105 bytes each."""
    content = np.random.default_rng(0).integers(0, 256, (10, 7, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", content)
    return np.load(tmp_path / "pixels.npy", mmap_mode="r")


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def check_batches(loader: DeviceLoader, pixels: Pixels, device: torch.device) -> None:
    batches = list(loader.batches(PIECES))  # all kept: no batch is written over by a later one
    assert len(batches) == len(PIECES)
    for batch, piece in zip(batches, PIECES, strict=True):
        assert batch.device.type == device.type
        assert batch.dtype == torch.uint8
        np.testing.assert_array_equal(batch.cpu().numpy(), pixels[piece])


@pytest.mark.parametrize("kind", [StreamingLoader, ResidentLoader])
def test_every_batch_holds_the_canvases_of_its_rows_in_order(pixels: Pixels, kind: Callable[..., DeviceLoader]) -> None:
    loader = kind(pixels, CPU)
    check_batches(loader, pixels, CPU)
    check_batches(loader, pixels, CPU)


@pytest.mark.parametrize("width", [5, 8], ids=["odd rows", "rows of whole words"])
def test_resident_canvases_are_copied_portion_by_portion(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    content = np.random.default_rng(0).integers(0, 256, (10, 7, width, 3), dtype=np.uint8)
    monkeypatch.setattr(trainer.data.device_loader, "PORTION", 3 * content[0].nbytes)
    check_batches(ResidentLoader(content, CPU), content, CPU)


@pytest.mark.parametrize("kind", [StreamingLoader, ResidentLoader])
def test_no_pieces_give_no_batches_and_no_canvases_are_no_error(
    pixels: Pixels, kind: Callable[..., DeviceLoader]
) -> None:
    assert list(kind(pixels, CPU).batches([])) == []
    (batch,) = kind(pixels[:0], CPU).batches([np.empty(0, np.int64)])
    assert batch.shape == (0, 7, 5, 3)


@pytest.mark.parametrize("kind", [StreamingLoader, ResidentLoader])
@pytest.mark.parametrize("row", [-1, 10])
def test_a_row_that_is_not_there_is_an_error(pixels: Pixels, kind: Callable[..., DeviceLoader], row: int) -> None:
    with pytest.raises(IndexError, match="of 10 canvases"):
        kind(pixels, CPU).batches([np.array([3]), np.array([2, row])])


def test_a_cpu_streams_from_the_file(pixels: Pixels) -> None:
    loader = open_loader(pixels, CPU)
    assert not loader.resident
    check_batches(loader, pixels, CPU)


def test_reading_stays_one_batch_ahead(pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[int] = []
    reached = threading.Condition()
    gather = trainer.data.device_loader._gather

    def counting(source: Pixels, rows: np.ndarray, out: Pixels) -> None:
        gather(source, rows, out)
        with reached:
            gathered.append(len(rows))
            reached.notify_all()

    monkeypatch.setattr(trainer.data.device_loader, "_gather", counting)
    batches = StreamingLoader(pixels, CPU).batches([np.array([0])] * 6)
    for used in range(1, 5):
        next(batches)
        with reached:
            assert reached.wait_for(lambda: len(gathered) >= used + 1, timeout=10)  # noqa: B023
        assert len(gathered) == used + 1
    batches.close()


def test_closing_early_ends_the_thread(pixels: Pixels) -> None:
    batches = StreamingLoader(pixels, CPU).batches(PIECES * 5)
    next(batches)
    assert len(readers()) == 1
    batches.close()
    assert readers() == []


def test_a_loop_that_breaks_off_ends_the_thread(pixels: Pixels) -> None:
    for _ in StreamingLoader(pixels, CPU).batches(PIECES * 5):
        break
    gc.collect()
    assert readers() == []


def test_what_fails_in_the_thread_is_raised_where_the_batch_is_asked_for(
    pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather = trainer.data.device_loader._gather

    def failing(source: Pixels, rows: np.ndarray, out: Pixels) -> None:
        if len(rows) == 7:
            raise OSError("the disk has gone")
        gather(source, rows, out)

    monkeypatch.setattr(trainer.data.device_loader, "_gather", failing)
    batches = StreamingLoader(pixels, CPU).batches(PIECES)
    for _ in range(3):
        next(batches)
    with pytest.raises(OSError, match="the disk has gone"):
        next(batches)
    assert readers() == []


def test_two_iterators_of_one_feed_do_not_mix(pixels: Pixels) -> None:
    loader = StreamingLoader(pixels, CPU)
    for first, second, piece in zip(loader.batches(PIECES), loader.batches(PIECES[::-1]), PIECES, strict=False):
        np.testing.assert_array_equal(first.numpy(), pixels[piece])
        assert len(second) <= 7


def test_host_memory_holds_a_few_batches_however_many_epochs_go_by() -> None:
    content = np.zeros((64, 32, 32, 3), np.uint8)
    loader = StreamingLoader(content, CPU)
    pieces = list(np.arange(64).reshape(16, 4))
    batch_bytes = content[:4].nbytes
    tracemalloc.start()
    try:
        for _ in range(4):
            for _ in loader.batches(pieces):
                pass
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 2 * batch_bytes + 20_000
    assert peak < 4 * batch_bytes + 60_000


@pytest.mark.gpu
@needs_gpu
def test_canvases_that_fit_stay_on_the_gpu(pixels: Pixels) -> None:
    loader = open_loader(pixels, CUDA)
    assert loader.resident
    check_batches(loader, pixels, CUDA)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("why", ["too large", "out of memory"])
def test_canvases_that_do_not_fit_are_streamed_to_the_gpu(
    pixels: Pixels, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    if why == "too large":
        monkeypatch.setattr(trainer.data.device_loader, "SHARE", 0.0)
    else:
        monkeypatch.setattr(trainer.data.device_loader, "ResidentLoader", exhausted)
    loader = open_loader(pixels, CUDA)
    assert not loader.resident
    check_batches(loader, pixels, CUDA)


@pytest.mark.gpu
@needs_gpu
def test_batches_stay_whole_while_the_gpu_lags_behind_the_host() -> None:
    content = np.random.default_rng(0).integers(0, 256, (256, 64, 64, 3), dtype=np.uint8)
    pieces = [np.random.default_rng(step).permutation(256)[:128] for step in range(40)]
    weight = torch.randn(4096, 4096, device=CUDA)
    sums = []
    for batch in StreamingLoader(content, CUDA).batches(pieces):
        for _ in range(5):
            weight = torch.tanh(weight @ weight)  # work that keeps the GPU busy, so that the batch is read late
        sums.append(batch.sum(dtype=torch.int64))
        del batch  # its memory must not be given to a later one yet
    assert [int(total) for total in sums] == [int(content[piece].sum(dtype=np.int64)) for piece in pieces]


@pytest.mark.gpu
@needs_gpu
def test_memory_on_the_gpu_stays_flat_over_epochs() -> None:
    content = np.zeros((256, 64, 64, 3), np.uint8)
    loader = StreamingLoader(content, CUDA)
    pieces = list(np.arange(256).reshape(16, 16))
    reserved = []
    for _ in range(6):
        for _ in loader.batches(pieces):
            pass
        torch.cuda.synchronize()
        reserved.append(torch.cuda.memory_reserved())
    assert reserved[-1] == reserved[1]
