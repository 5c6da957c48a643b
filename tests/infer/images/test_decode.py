"""What is refused, and with which reason: bombs, thin and damaged pictures, and what is no picture."""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.pixels import Array, as_is, read_as_is
from PIL import Image, UnidentifiedImageError

from infer.core.errors import ImageError
from infer.images import decode
from infer.images.decode import bombs_are_errors
from infer.images.preprocess import PixelSpec, read_canvas


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", b"")]
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("width", "height"), [(8001, 10_000), (10_000, 9_000), (20_000, 20_000)])
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(width, height))
    with pytest.raises(ImageError, match=r"a\.png: .*more than 80 million"), bombs_are_errors():
        read_canvas(str(tmp_path / "a.png"), as_is(8, 8))


def damaged_exif(kind: str) -> bytes:
    """An image whose EXIF description claims to be longer than the file."""
    content, exif = io.BytesIO(), Image.Exif()
    exif[270] = "a description of the picture"
    Image.new("RGB", (8, 8)).save(content, kind, exif=exif)
    tags = content.getvalue().index(b"II*\x00" if b"II*\x00" in content.getvalue() else b"MM\x00*")
    order = "<" if content.getvalue()[tags : tags + 1] == b"I" else ">"
    damaged = bytearray(content.getvalue())
    struct.pack_into(
        f"{order}I", damaged, tags + 8 + 2 + 4, 5000
    )  # after the header and the number of tags: its length
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_values_beside_the_pixels_warn_of_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(damaged_exif(kind))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(path).getexif()
        assert caught  # this Pillow warns
        caught.clear()
        with bombs_are_errors():
            assert read_as_is(path).shape == (8, 8, 3)
        assert not caught


def test_what_cannot_be_read_is_an_error_and_no_line_of_a_library(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "TIFF")
    damaged = bytearray(content.getvalue())
    samples = damaged.index(struct.pack("<HHI", 277, 3, 1))  # SamplesPerPixel, a short, of them one
    struct.pack_into("<H", damaged, samples + 8, 99)
    (tmp_path / "a.tif").write_bytes(damaged)
    with pytest.raises(UnidentifiedImageError):
        read_as_is(tmp_path / "a.tif")
    assert caplog.records == []


def test_an_image_of_just_the_limit_is_read(scene: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png")
    monkeypatch.setattr(decode, "MAX_PIXELS", 20 * 30)
    np.testing.assert_array_equal(read_as_is(tmp_path / "a.png"), scene)
    monkeypatch.setattr(decode, "MAX_PIXELS", 20 * 30 - 1)
    with pytest.raises(ImageError, match=r"a\.png: 30 x 20 pixels, more than"):
        read_as_is(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(1001, 10), (1, 101)])
def test_an_image_too_thin_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=rf"a\.png: {size[0]} x {size[1]} pixels, too thin"):
        read_canvas(str(tmp_path / "a.png"), PixelSpec.default(8))


def test_a_thin_image_at_the_limit_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (1, 100), "white").save(tmp_path / "a.png")
    assert (read_canvas(str(tmp_path / "a.png"), PixelSpec.default(8)) == 255).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp", "gif"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.6])
def test_a_truncated_or_empty_file_is_refused(suffix: str, keep: float, scene: Array, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(scene).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ImageError, match=rf"a\.{suffix}: \w+"):
        read_canvas(str(path), as_is(20, 30))


def test_reasons_hold_neither_addresses_nor_paths(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Member:
        content: bytes

        def __str__(self) -> str:
            return "set.zip/a.png"

        def open(self) -> io.BytesIO:
            return io.BytesIO(self.content)

    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    reasons = []
    for file in (Member(b"no image"), str(tmp_path / "text.png"), str(tmp_path / "folder.png")):
        with pytest.raises(ImageError) as caught:
            read_canvas(file, as_is(8, 8))  # type: ignore[arg-type]
        reasons.append(caught.value.reason)
    assert reasons == ["cannot identify image file", "cannot identify image file", "Is a directory"]


def test_a_text_a_folder_and_a_missing_file_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in (("text", "cannot identify"), ("folder", "Is a directory"), ("none", "no such file")):
        path = str(tmp_path / f"{name}.jpg")
        with pytest.raises(ImageError, match=reason) as caught:
            read_canvas(path, as_is(8, 8))
        assert caught.value.path == path
        assert "\n" not in str(caught.value)


def test_a_format_outside_the_list_is_refused(scene: Array, tmp_path: Path) -> None:
    Image.fromarray(scene).save(tmp_path / "a.png", format="PPM")
    with pytest.raises(ImageError, match="cannot identify"):
        read_canvas(str(tmp_path / "a.png"), as_is(20, 30))
