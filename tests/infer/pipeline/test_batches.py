"""Batches of pixels: each image at its place, whoever decodes it, in memory that does not grow."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infer.pipeline.batches
from infer.images.archive import list_members
from infer.images.preprocess import PixelSpec
from infer.images.tta import read_views
from infer.pipeline.batches import Ring, read_batches

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
def test_every_image_has_its_own_views_whoever_decodes_it(
    files: list[str], processes: bool, size: int, workers: int
) -> None:
    place = 0
    for batch in read_batches(files, [SMALL, LARGE], "flips", size, workers, processes):
        assert len(batch.errors) == min(size, len(files) - place)
        good = [file for file, error in zip(files[place:], batch.errors, strict=False) if error is None]
        for pixels, spec in zip(batch.pixels_nhwc, (SMALL, LARGE), strict=True):
            wanted = np.array([view for file in good for view in read_views(file, spec, "flips")])
            assert pixels.tobytes() == wanted.tobytes()
        bad = [number + place for number, error in enumerate(batch.errors) if error]
        assert bad == [number for number in (3, 20, 44) if place <= number < place + len(batch.errors)]
        place += len(batch.errors)
    assert place == len(files)


def test_a_process_survives_a_damaged_image_and_tells_its_name(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(infer.pipeline.batches, "_fill")  # here: this process can do none of the work
    (batch,) = read_batches(files, [SMALL], "none", 64, 2, processes=True)
    assert batch.errors[3] is not None
    assert batch.errors[3].path == files[3]


def test_the_ring_does_not_grow_with_the_number_of_files(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    arrays = Ring.arrays
    monkeypatch.setattr(Ring, "arrays", lambda ring, memory: sizes.append(ring.nbytes()) or arrays(ring, memory))
    for times in (1, 3):
        assert sum(len(batch.errors) for batch in read_batches(files * times, [SMALL], "none", 4, 2)) == 45 * times
    assert sizes[0] == sizes[1] < 45 * 16 * 16 * 3


@pytest.mark.parametrize("held", [1, 2, 3])
def test_so_many_batches_keep_their_pixels(files: list[str], held: int) -> None:
    kept: list[tuple[np.ndarray, bytes]] = []
    for batch in read_batches(files, [SMALL], "none", 2, 2, held=held):
        kept.append((batch.pixels_nhwc[0], batch.pixels_nhwc[0].tobytes()))
        time.sleep(0.005)  # for those who would overwrite them
        assert all(pixels.tobytes() == content for pixels, content in kept[-held:])
    assert any(pixels.tobytes() != content for pixels, content in kept)


def test_no_files_are_no_batches() -> None:
    assert list(read_batches([], [SMALL], "none", 4, 2)) == []


def test_members_of_an_archive_are_read_by_processes(tmp_path: Path, files: list[str]) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in (0, 1, 2):
            archive.write(files[number], f"{number}.png")
    (batch,) = read_batches(list_members(tmp_path / "a.zip"), [SMALL], "none", 8, 2, processes=True)
    wanted = np.concatenate([read_views(file, SMALL) for file in files[:3]])
    assert batch.pixels_nhwc[0].tobytes() == wanted.tobytes()
