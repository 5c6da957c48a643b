"""What stands beside the pixels never costs a picture that every viewer shows."""

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.picture_files import SIGNATURE, chunk
from numpy.typing import NDArray
from PIL import Image

from infer.core.errors import ImageError
from infer.images.picture_file import open_header, orientation, pixels_only
from infer.images.preprocess import read_rgb

Array = NDArray[np.uint8]
SCENE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
BEFORE_PIXELS = len(SIGNATURE) + 25
"""Where a PNG file's header ends."""


def saved(kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(SCENE).save(content, kind, **options)  # type: ignore[arg-type]
    return content.getvalue()


def png_with(*chunks: bytes, after: bool = False) -> bytes:
    plain = saved("PNG")
    at = len(plain) - 12 if after else BEFORE_PIXELS
    return plain[:at] + b"".join(chunks) + plain[at:]


def damaged(whole: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return whole[:-1] + bytes([whole[-1] ^ 1])


def compressed(size: int) -> bytes:
    return zlib.compress(bytes(size))


WHOLE = {
    "a large profile": png_with(chunk(b"iCCP", b"p\0\0" + compressed(3_000_000))),
    "a profile that is not compressed": png_with(chunk(b"iCCP", b"p\0\0no profile")),
    "a profile with a wrong checksum": png_with(damaged(chunk(b"iCCP", b"p\0\0" + compressed(30)))),
    "long text": png_with(chunk(b"zTXt", b"Comment\0\0" + compressed(3_000_000))),
    "long text after the pixels": png_with(chunk(b"zTXt", b"Comment\0\0" + compressed(3_000_000)), after=True),
    "many texts": png_with(*[chunk(b"tEXt", b"Comment\0" + b"a" * 900_000)] * 75),
    "long XMP": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + compressed(3_000_000))),
    "text with a wrong checksum": png_with(damaged(chunk(b"tEXt", b"Comment\0hello"))),
    "EXIF that is none": png_with(chunk(b"eXIf", b"this is no TIFF")),
    "EXIF as text that is none": png_with(chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      8\nzzzzzz\n")),
    "a transparency with a wrong checksum": png_with(damaged(chunk(b"tRNS", SCENE[3, 3].astype(">u2").tobytes()))),
    "bytes after its end": saved("PNG") + b"trailing",
    "a broken chunk after the pixels": png_with(b"\0\0\0\4brOk1234\0\0\0\0", after=True),
    "a WebP's EXIF that is none": saved("WEBP", lossless=True, exif=b"Exif\0\0this is no TIFF"),
    "a BMP's trailing bytes": saved("BMP") + b"trailing",
    "a TIFF's trailing bytes": saved("TIFF") + b"trailing",
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Array]:
    def function(content: bytes) -> Array:
        (tmp_path / "picture.png").write_bytes(content)
        return np.asarray(read_rgb(str(tmp_path / "picture.png")))

    return function


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", WHOLE)
def test_what_stands_beside_the_pixels_does_not_cost_them(kind: str, read: Callable[[bytes], Array]) -> None:
    np.testing.assert_array_equal(read(WHOLE[kind]), SCENE)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("beside", [b"Exif\0\0this is no TIFF", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
def test_a_jpegs_damaged_exif_does_not_cost_its_pixels(beside: bytes, read: Callable[[bytes], Array]) -> None:
    np.testing.assert_array_equal(read(saved("JPEG", exif=beside)), read(saved("JPEG")))


def test_a_jpeg_with_bytes_after_its_end_is_read(read: Callable[[bytes], Array]) -> None:
    np.testing.assert_array_equal(read(saved("JPEG") + b"trailing"), read(saved("JPEG")))


def test_the_orientation_is_kept_where_other_chunks_are_left_out(read: Callable[[bytes], Array]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    content = saved("PNG", exif=exif)
    text = chunk(b"zTXt", b"Comment\0\0" + compressed(3_000_000))
    np.testing.assert_array_equal(read(content[:BEFORE_PIXELS] + text + content[BEFORE_PIXELS:]), SCENE[::-1, ::-1])


@pytest.mark.parametrize("beside", ["a large profile", "long text", "a profile with a wrong checksum"])
def test_truncated_pixels_stay_an_error_whatever_stands_beside_them(
    beside: str, read: Callable[[bytes], Array]
) -> None:
    with pytest.raises(ImageError):
        read(WHOLE[beside][:-300])


def test_pixels_with_a_wrong_checksum_stay_an_error(read: Callable[[bytes], Array]) -> None:
    content = saved("PNG")
    at = content.index(b"IDAT") + 30
    with pytest.raises(ImageError):
        read(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_only_the_chunks_that_make_pixels_are_kept() -> None:
    content = pixels_only(WHOLE["long text"])
    assert content is not None
    assert content == saved("PNG")
    assert pixels_only(saved("JPEG")) is None


def test_a_header_is_read_whatever_stands_beside_it() -> None:
    with open_header(WHOLE["a large profile"]) as image:
        assert (image.size, image.mode, image.format) == ((16, 12), "RGB", "PNG")
    with pytest.raises(OSError, match="cannot identify"):
        open_header(b"no picture")


@pytest.mark.parametrize(("value", "known"), [(6, 6), (1, 1), (0, 1), (77, 1)])
def test_an_orientation_that_has_no_meaning_is_upright(value: int, known: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    with open_header(saved("JPEG", exif=exif)) as image:
        assert orientation(image) == known
