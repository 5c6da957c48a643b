"""nvImageCodec decodes to the pixels of the contract. In most tests it decodes on the CPU, by the calls of a GPU."""

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
from infer.model.providers import CPU
from infer.pipeline.batches import CpuDecoder, Views, read_batches
from infer.pipeline.gpu_decode import GpuDecoder
from infer.pipeline.nvjpeg import DeviceImage, JpegDecoder

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
def decoder() -> GpuDecoder:
    return GpuDecoder([SMALL, LARGE], "flips", CPU)


def decoded_on_cpu(files: list[str]) -> list[Views | ImageError]:
    return list(CpuDecoder([SMALL, LARGE], "flips", len(files)).decode(files))


def test_every_file_has_the_views_or_the_error_of_the_cpus_decoder(files: list[str], decoder: GpuDecoder) -> None:
    for file, found, expected in zip(files, decoder.decode(files), decoded_on_cpu(files), strict=True):
        if isinstance(expected, ImageError):
            assert isinstance(found, ImageError)
            assert str(found) == str(expected), file
            continue
        assert not isinstance(found, ImageError), file
        for views, right in zip(found, expected, strict=True):
            assert views.shape == right.shape
            assert np.abs(views.astype(int) - right).max() <= 1, file
    assert (decoder.on_gpu, decoder.on_cpu) == (25, len(files) - 25)
    assert decoder.summary() == "decoded: 25 images on the GPU, 5 on the CPU (other formats, very large, or damaged)"


def test_its_batches_are_those_of_the_cpus_decoder(files: list[str], decoder: GpuDecoder) -> None:
    batches = [
        [(batch.errors, [array.copy() for array in batch.pixels_nhwc]) for batch in read_batches(files, item, 7)]
        for item in (CpuDecoder([SMALL, LARGE], "flips", len(files), 2), decoder)
    ]
    for (errors, pixels), (other_errors, others) in zip(*batches, strict=True):
        assert list(map(str, errors)) == list(map(str, other_errors))
        for array, other in zip(pixels, others, strict=True):
            np.testing.assert_allclose(array.astype(int), other.astype(int), atol=1)


def test_members_of_archives_are_decoded_too(files: list[str], tmp_path: Path, decoder: GpuDecoder) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files[:5]:
            archive.write(file, Path(file).name)
    members = list_members(tmp_path / "a.zip")
    assert all(not isinstance(found, ImageError) for found in decoder.decode(members))
    assert (decoder.on_gpu, decoder.on_cpu) == (5, 0)


def test_images_are_decoded_in_groups_that_the_device_has_room_for(
    files: list[str], decoder: GpuDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    decode = JpegDecoder.decode
    monkeypatch.setattr(infer.pipeline.gpu_decode, "MAX_BYTES", 3 * 60 * 47 * 4)
    alive: list[weakref.ref[object]] = []

    def counted(self: JpegDecoder, sources: Sequence[tuple[bytes, Frame]]) -> list[DeviceImage | None]:
        at_once.append(len(sources))
        assert not any(image() for image in alive)  # the memory of the earlier group is free again
        images = decode(self, sources)
        alive.extend(weakref.ref(image) for image in images if image)
        return images

    monkeypatch.setattr(JpegDecoder, "decode", counted)
    readable = [item for item in decoder.decode(files[:10]) if not isinstance(item, ImageError)]
    assert at_once == [4, 4, 2]
    assert len(readable) == 10


def test_strips_and_large_images_are_decoded_on_the_cpu(
    tmp_path: Path, decoder: GpuDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = decoder.decode([save(tmp_path / "strip.jpg", (1010, 10), 0)])
    assert "too thin" in str(found)
    monkeypatch.setattr("infer.pipeline.gpu_decode.MAX_PIXELS", 60 * 47 - 1)
    (found,) = decoder.decode([save(tmp_path / "large.jpg", (60, 47), 0)])
    assert not isinstance(found, ImageError)
    assert (decoder.on_gpu, decoder.on_cpu) == (0, 2)


def test_files_that_nvimagecodec_declines_are_decoded_on_the_cpu(
    files: list[str], decoder: GpuDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = JpegDecoder.decode
    monkeypatch.setattr(JpegDecoder, "decode", lambda self, sources: [None, *decode(self, sources[1:])])
    found = decoder.decode(files[:4])
    assert not any(isinstance(item, ImageError) for item in found)
    assert (decoder.on_gpu, decoder.on_cpu) == (3, 1)


def test_a_failure_of_the_gpu_ends_the_prediction(
    files: list[str], decoder: GpuDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] Failed to allocate memory for requested buffer")

    monkeypatch.setattr("infer.pipeline.gpu_resize.Resampler._run", fail)
    with pytest.raises(DeviceError, match="60 x 47 pixels: the memory is exhausted; choose --decode cpu"):
        list(read_batches(files[1:2], decoder, 7))
    monkeypatch.undo()
    assert len(decoder.decode(files)) == len(files)  # every nvImageCodec decoder is free again


def test_models_that_enhance_images_are_refused() -> None:
    spec = PixelSpec(steps=(MeanFilter(3), *SMALL.steps), canvas=SMALL.canvas, window=(16, 16), reduced_decode=False)
    with pytest.raises(ConfigError, match="enhanced as well; choose --decode cpu"):
        GpuDecoder([SMALL, spec], "none", CPU)


@pytest.mark.gpu
def test_a_gpu_gives_the_views_and_errors_of_the_cpus_decoder(files: list[str]) -> None:
    decoder = GpuDecoder([SMALL, LARGE], "flips")
    for _ in range(3):
        for found, expected in zip(decoder.decode(files), decoded_on_cpu(files), strict=True):
            assert isinstance(found, ImageError) == isinstance(expected, ImageError)
            if not isinstance(found, ImageError) and not isinstance(expected, ImageError):
                assert all(np.abs(a.astype(int) - b).mean() < 2 for a, b in zip(found, expected, strict=True))
    assert decoder.on_gpu == 3 * 25
    repeated = [decoder.decode(files[:20]) for _ in range(2)]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(*repeated, strict=True))
