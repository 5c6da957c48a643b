"""Decoding by nvImageCodec: the pixels of the contract. Here it decodes on the processor, by the calls of a GPU."""

import weakref
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infer.pipeline.gpu_decode
from infer.core.errors import ConfigError, DeviceError, ImageError
from infer.images.archive import list_members
from infer.images.enhance import MeanFilter
from infer.images.jpeg_header import Frame
from infer.images.preprocess import PixelSpec
from infer.model.cuda import CPU, find_problem
from infer.pipeline.batches import read_batches, read_each
from infer.pipeline.gpu_decode import GpuReader
from infer.pipeline.nvjpeg import Decoded, JpegDecoder

pytest.importorskip("nvidia.nvimgcodec", reason="nvImageCodec is not installed")

SMALL = PixelSpec.default(16)
LARGE = PixelSpec.default(28)


def save(path: Path, size: tuple[int, int], seed: int, mode: str = "RGB", **options: object) -> str:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    image.save(path, **options)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """30 files: JPEGs of two sizes, a gray, a progressive, a CMYK and a turned one, a PNG, and two that are bad."""
    folder = tmp_path_factory.mktemp("jpegs")
    turned = Image.Exif()
    turned[0x0112] = 6
    made = [save(folder / f"{n}.jpg", (60, 47) if n % 3 else (47, 60), n, subsampling=n % 3) for n in range(23)]
    made.append(save(folder / "gray.jpg", (60, 47), 23, "L"))
    made.append(save(folder / "progressive.jpg", (60, 47), 24, progressive=True))
    made.append(save(folder / "cmyk.jpg", (60, 47), 25, "CMYK"))
    made.append(save(folder / "turned.jpg", (60, 47), 26, exif=turned))
    made.append(save(folder / "image.png", (60, 47), 27))
    cut = folder / "cut.jpg"
    cut.write_bytes(Path(made[0]).read_bytes()[:-300])
    return [*made, str(cut), str(folder / "missing.jpg")]


@pytest.fixture
def reader() -> GpuReader:
    return GpuReader([SMALL, LARGE], "flips", CPU)


def test_every_file_has_the_views_or_the_error_that_the_processor_gives(files: list[str], reader: GpuReader) -> None:
    for file, found, expected in zip(files, reader(files), read_each([SMALL, LARGE], "flips", files), strict=True):
        if isinstance(expected, ImageError):
            assert isinstance(found, ImageError)
            assert str(found) == str(expected), file
            continue
        assert not isinstance(found, ImageError), file
        for views, wanted in zip(found, expected, strict=True):
            assert views.shape == wanted.shape
            assert np.abs(views.astype(int) - wanted).max() <= 1, file
    assert (reader.on_device, reader.elsewhere) == (25, len(files) - 25)
    assert reader.told() == "decoded: 25 images on the GPU, 5 on the CPU (other formats, very large, or damaged)"


def test_a_ring_takes_its_batches_in_order_from_it(files: list[str], reader: GpuReader) -> None:
    batches = [
        [(batch.errors, [array.copy() for array in batch.pixels_nhwc]) for batch in read_batches(
            files, [SMALL, LARGE], "flips", 7, 2, reader=way
        )]
        for way in (None, reader)
    ]  # fmt: skip
    for (errors, pixels), (other_errors, others) in zip(*batches, strict=True):
        assert list(map(str, errors)) == list(map(str, other_errors))
        for array, other in zip(pixels, others, strict=True):
            np.testing.assert_allclose(array.astype(int), other.astype(int), atol=1)


def test_members_of_archives_are_decoded_too(files: list[str], tmp_path: Path, reader: GpuReader) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files[:5]:
            archive.write(file, Path(file).name)
    members = list_members(tmp_path / "a.zip")
    assert all(not isinstance(found, ImageError) for found in reader(members))
    assert (reader.on_device, reader.elsewhere) == (5, 0)


def test_images_are_decoded_in_groups_that_the_device_has_room_for(
    files: list[str], reader: GpuReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    decode = JpegDecoder.decode
    monkeypatch.setattr(infer.pipeline.gpu_decode, "MOST_BYTES", 3 * 60 * 47 * 4)
    alive: list[weakref.ref[object]] = []

    def counted(self: JpegDecoder, some: Sequence[tuple[bytes, Frame]]) -> list[Decoded | None]:
        at_once.append(len(some))
        assert not any(image() for image in alive)  # what was decoded before lies on the device no more
        images = decode(self, some)
        alive.extend(weakref.ref(image) for image in images if image)
        return images

    monkeypatch.setattr(JpegDecoder, "decode", counted)
    whole = [found for found in reader(files[:10]) if not isinstance(found, ImageError)]
    assert at_once == [4, 4, 2]
    assert len(whole) == 10


def test_strips_and_large_images_are_left_to_the_processor(
    tmp_path: Path, reader: GpuReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = reader([save(tmp_path / "strip.jpg", (1010, 10), 0)])
    assert "too thin" in str(found)
    monkeypatch.setattr("infer.pipeline.gpu_decode.MOST_PIXELS", 60 * 47 - 1)
    (found,) = reader([save(tmp_path / "large.jpg", (60, 47), 0)])
    assert not isinstance(found, ImageError)
    assert (reader.on_device, reader.elsewhere) == (0, 2)


def test_what_the_decoder_declines_is_left_to_the_processor(
    files: list[str], reader: GpuReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = JpegDecoder.decode
    monkeypatch.setattr(JpegDecoder, "decode", lambda self, some: [None, *decode(self, some[1:])])
    found = reader(files[:4])
    assert not any(isinstance(item, ImageError) for item in found)
    assert (reader.on_device, reader.elsewhere) == (3, 1)


def test_a_failure_of_the_gpu_ends_the_prediction(
    files: list[str], reader: GpuReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] Failed to allocate memory for requested buffer")

    monkeypatch.setattr("infer.pipeline.gpu_resize.Resampler._run", fail)
    with pytest.raises(DeviceError, match="60 x 47 pixels: the memory is exhausted; choose --decode cpu"):
        list(read_batches(files[1:2], [SMALL, LARGE], "flips", 7, 2, reader=reader))
    monkeypatch.undo()
    assert len(reader(files)) == len(files)  # no decoder is lost


def test_models_that_enhance_images_are_refused() -> None:
    spec = PixelSpec(steps=(MeanFilter(3), *SMALL.steps), canvas=SMALL.canvas, window=(16, 16), reduced_decode=False)
    with pytest.raises(ConfigError, match="enhanced as well; choose --decode cpu"):
        GpuReader([SMALL, spec], "none", CPU)


@pytest.mark.gpu
def test_a_gpu_gives_the_views_and_errors_that_the_processor_gives(files: list[str]) -> None:
    if problem := find_problem():
        pytest.skip(problem)
    reader = GpuReader([SMALL, LARGE], "flips")
    for _ in range(3):
        for found, expected in zip(reader(files), read_each([SMALL, LARGE], "flips", files), strict=True):
            assert isinstance(found, ImageError) == isinstance(expected, ImageError)
            if not isinstance(found, ImageError) and not isinstance(expected, ImageError):
                assert all(np.abs(a.astype(int) - b).mean() < 2 for a, b in zip(found, expected, strict=True))
    assert reader.on_device == 3 * 25
    repeated = [reader(files[:20]) for _ in range(2)]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(*repeated, strict=True))
