"""Batches of pixels: every image in its row, from threads and from processes, in memory that does not grow."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infer.pipeline.batches
from infer.images.archive import list_members
from infer.images.parallel_map import PROCESSES_FROM, THREADS
from infer.images.preprocess import PixelSpec
from infer.images.tta import read_views
from infer.model.providers import CPU
from infer.pipeline.batches import CPU_CHUNK, FEW_CORES, CpuDecoder, Ring, read_batches

SMALL, LARGE = PixelSpec.default(16), PixelSpec.default(24)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """45 images, of which numbers 3 and 44 are damaged and number 20 is missing."""
    folder = tmp_path_factory.mktemp("ring")
    names = [str(folder / f"{number}.png") for number in range(45)]
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(name)
    for number in (3, 44):
        Path(names[number]).write_bytes(b"no image")
    Path(names[20]).unlink()
    return names


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
@pytest.mark.parametrize(("size", "workers"), [(1, 3), (7, 2), (20, 1), (64, 4)])
def test_every_image_has_its_own_views_from_threads_and_from_processes(
    files: list[str], processes: bool, size: int, workers: int
) -> None:
    start = 0
    decoder = CpuDecoder([SMALL, LARGE], "flips", len(files), workers, processes)
    for batch in read_batches(files, decoder, size):
        assert len(batch.errors) == min(size, len(files) - start)
        good = [file for file, error in zip(files[start:], batch.errors, strict=False) if error is None]
        for pixels, spec in zip(batch.pixels_nhwc, (SMALL, LARGE), strict=True):
            expected = np.array([view for file in good for view in read_views(file, spec, "flips")])
            assert pixels.tobytes() == expected.tobytes()
        bad = [start + index for index, error in enumerate(batch.errors) if error]
        assert bad == [number for number in (3, 20, 44) if start <= number < start + len(batch.errors)]
        start += len(batch.errors)
    assert start == len(files)


def test_a_process_survives_a_damaged_image_and_names_it(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(CpuDecoder, "decode_file")  # in this process, so that only the others can do the work
    (batch,) = read_batches(files, CpuDecoder([SMALL], "none", len(files), 2, in_processes=True), 64)
    assert batch.errors[3] is not None
    assert batch.errors[3].path == files[3]


def test_the_ring_does_not_grow_with_the_number_of_files(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def make(shapes: Sequence[tuple[int, ...]], file: int | None) -> Ring:
        ring = Ring(shapes, file)
        sizes.append(sum(array.nbytes for array in ring.arrays))
        return ring

    monkeypatch.setattr(infer.pipeline.batches, "Ring", make)
    for times in (1, 3):
        decoder = CpuDecoder([SMALL], "none", 45 * times, 2)
        assert sum(len(batch.errors) for batch in read_batches(files * times, decoder, 4)) == 45 * times
    assert sizes[0] == sizes[1] < 45 * 16 * 16 * 3


@pytest.mark.parametrize("held", [1, 2, 3])
def test_the_latest_batches_keep_their_pixels(files: list[str], held: int) -> None:
    kept: list[tuple[np.ndarray, bytes]] = []
    for batch in read_batches(files, CpuDecoder([SMALL], "none", len(files), 2), 2, held):
        kept.append((batch.pixels_nhwc[0], batch.pixels_nhwc[0].tobytes()))
        time.sleep(0.005)  # in which a worker could overwrite them
        assert all(pixels.tobytes() == content for pixels, content in kept[-held:])
    assert any(pixels.tobytes() != content for pixels, content in kept)


def test_no_files_are_no_batches() -> None:
    for processes in (False, True):
        assert list(read_batches([], CpuDecoder([SMALL], "none", 0, 2, processes), 4)) == []


def test_members_of_an_archive_are_read_by_processes(tmp_path: Path, files: list[str]) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in (0, 1, 2):
            archive.write(files[number], f"{number}.png")
    decoder = CpuDecoder([SMALL], "none", 3, 2, in_processes=True)
    (batch,) = read_batches(list_members(tmp_path / "a.zip"), decoder, 8)
    expected = np.concatenate([read_views(file, SMALL) for file in files[:3]])
    assert batch.pixels_nhwc[0].tobytes() == expected.tobytes()


def test_processes_decode_many_images_on_many_cores_and_threads_all_others() -> None:
    for count, workers, processes in (
        (PROCESSES_FROM - 1, 16, False),
        (PROCESSES_FROM, FEW_CORES, False),
        (PROCESSES_FROM, FEW_CORES + 1, True),
    ):
        decoder = CpuDecoder([SMALL], "none", count, workers)
        assert decoder.in_processes == (processes and os.name == "posix")
    assert CpuDecoder([SMALL], "none", PROCESSES_FROM, 64, in_processes=False).workers == THREADS
    assert CpuDecoder([SMALL], "none", PROCESSES_FROM, 64, in_processes=True).workers == 64


def test_a_batch_is_spread_over_the_workers() -> None:
    decoder = CpuDecoder([SMALL], "none", 1000, 4, in_processes=False)
    assert [decoder.chunk(size) for size in (1, 4, 8, 64)] == [1, 1, 2, CPU_CHUNK]


@pytest.mark.parametrize("in_processes", [False, True])
def test_the_memory_of_batches_is_pinned_for_the_provider_while_they_are_read(
    files: list[str], in_processes: bool
) -> None:
    held: dict[int, int] = {}

    @contextlib.contextmanager
    def pin(address: int, nbytes: int) -> Iterator[None]:
        held[address] = nbytes
        yield
        del held[address]

    decoder = CpuDecoder([SMALL], "none", len(files), 2, in_processes=in_processes)
    for batch in read_batches(files, decoder, 4, provider=replace(CPU, pin_memory=pin)):
        ((address, nbytes),) = held.items()
        if not any(batch.errors):
            assert address <= batch.pixels_nhwc[0].ctypes.data < address + nbytes
    assert held == {}
