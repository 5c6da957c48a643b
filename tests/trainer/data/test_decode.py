import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import trainer.data.decode
from infer.core.errors import ImageError
from infer.images.decode import MAX_PIXELS
from infer.images.preprocess import PixelSpec, read_canvas
from trainer.data.decode import DecodeResults, decode_files

SPEC = PixelSpec.default(32)
SIZE = 3 * SPEC.canvas[0] * SPEC.canvas[1]
OFFSET = 11


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """40 images of noise, of which number 20 is missing."""
    (tmp_path / "images").mkdir()
    names = [str(tmp_path / "images" / f"{number}.bmp") for number in range(40)]
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        if seed != 20:
            Image.fromarray(noise).save(name)
    return names


@pytest.fixture(params=["threads", "processes"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(trainer.data.decode, "PROCESSES_FROM", {"threads": 1000, "processes": 0}[request.param])
    return str(request.param)


def decode(files: list[str], out: Path, workers: int = 2) -> DecodeResults:
    out.write_bytes(bytes(OFFSET + len(files) * SIZE))
    return decode_files(files, SPEC, out, OFFSET, workers)


def check(results: DecodeResults, files: list[str], out: Path) -> None:
    """Each row holds its image's canvas and its mark is the checksum; a row without one is untouched."""
    content = out.read_bytes()
    assert content[:OFFSET] == bytes(OFFSET)
    assert len(content) == OFFSET + len(files) * SIZE
    for row, (mark, file) in enumerate(zip(results, files, strict=True)):
        found = content[OFFSET + row * SIZE : OFFSET + (row + 1) * SIZE]
        if isinstance(mark, ImageError):
            assert not any(found)
        else:
            assert found == read_canvas(file, SPEC).tobytes()
            assert mark == zlib.crc32(found)


def children() -> list[int]:
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(number) for number in task.read_text().split()] if task.is_file() else []


def test_every_image_is_written_to_its_row_and_nothing_is_left(tmp_path: Path, files: list[str], way: str) -> None:
    before = children()
    results = decode(files, tmp_path / "out")
    check(results, files, tmp_path / "out")
    assert [row for row, mark in enumerate(results) if isinstance(mark, ImageError)] == [20]
    assert children() == before


def test_errors_come_back_as_they_were(tmp_path: Path, files: list[str], way: str) -> None:
    Path(files[3]).write_bytes(b"no image")
    Image.new("1", (10_000, MAX_PIXELS // 10_000 + 1)).save(tmp_path / "bomb.png")
    files[4] = str(tmp_path / "bomb.png")
    results = decode(files, tmp_path / "out")
    for row in (3, 4, 20):
        with pytest.raises(ImageError) as expected:
            read_canvas(files[row], SPEC)
        error = results[row]
        assert isinstance(error, ImageError)
        assert (error.path, error.reason, error.transient) == (
            files[row],
            expected.value.reason,
            expected.value.transient,
        )


def test_the_number_of_finished_images_is_reported_up_to_the_last(tmp_path: Path, files: list[str]) -> None:
    told: list[int] = []
    (tmp_path / "out").write_bytes(b"")
    decode_files(files, SPEC, tmp_path / "out", 0, 2, told.append)
    assert told == sorted(told)
    assert len(told) == 3
    assert told[-1] == 40


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, files: list[str], way: str) -> None:
    before = children()
    with pytest.raises(FileNotFoundError):
        decode_files(files, SPEC, tmp_path / "not there", 0, 2)
    assert children() == before
