"""A JPEG's head: only what every decoder sees alike is called plain."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infer.images.jpeg_header import Frame, plain_frame


def picture(mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((90, 70), Image.Resampling.BICUBIC).convert(mode)


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    content = io.BytesIO()
    picture(mode).save(content, "JPEG", **options)
    return content.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(exif=exif)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
FRAME = b"\xff\xc0\x00\x11\x08\x75\x30\x75\x30\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
PLAIN = {
    "4:2:0": jpeg(subsampling=2),
    "4:2:2": jpeg(subsampling=1),
    "4:4:4": jpeg(subsampling=0),
    "gray": jpeg("L"),
    "progressive": jpeg(progressive=True),
    "with a comment": jpeg(comment=b"\xff\xd8 of a cell"),
    "upright": turned(1),
    "with zeros behind it": jpeg() + b"\0\0\0",
    "with another picture behind it": jpeg() + jpeg(),
    "with restarts": jpeg(restart_marker_blocks=2),
    "with several scans": jpeg(progressive=True, quality=100),
    "with fill bytes": jpeg()[:2] + b"\xff\xff" + jpeg()[2:],
}
OTHER = {
    "CMYK": jpeg("CMYK"),
    "RGB as it is": jpeg(keep_rgb=True),
    "turned": turned(6),
    "turned by XMP": jpeg(xmp=XMP),
    "cut off": jpeg()[:-600],
    "without an end": jpeg()[:-2],
    "arithmetically coded": jpeg().replace(b"\xff\xc0\x00\x11", b"\xff\xc9\x00\x11"),
    "of 12 bits": jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "with a stray marker in the picture": jpeg()[:-40] + b"\xff\xcb" + jpeg()[-40:],
    "with two frames": jpeg()[:2] + FRAME + jpeg()[2:],
    "with two pictures' frames": jpeg()[:-2] + FRAME + b"\xff\xd9",
    "without a frame": jpeg().replace(b"\xff\xc0\x00\x11", b"\xff\xfe\x00\x11"),
    "without rows": jpeg().replace(b"\x08\x00\x46\x00\x5a", b"\x08\x00\x00\x00\x5a"),
    "empty": b"",
    "no image": b"no image",
    "only markers": b"\xff\xd8\xff\xd9",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_tells_its_size(name: str) -> None:
    assert plain_frame(PLAIN[name]) == Frame(90, 70)
    with Image.open(io.BytesIO(PLAIN[name])) as image:
        assert image.size == (90, 70)


@pytest.mark.parametrize("name", OTHER)
def test_a_file_that_decoders_may_see_otherwise_is_not_plain(name: str) -> None:
    assert plain_frame(OTHER[name]) is None


def test_no_damage_of_the_head_is_an_error() -> None:
    whole, seen = jpeg(), set[Frame | None]()
    for place in range(400):
        for value in (0x00, 0xFF, 0xD8):
            damaged = bytearray(whole)
            damaged[place] = value
            seen.add(plain_frame(bytes(damaged)))
        seen.add(plain_frame(whole[:place] + b"\xff\xd9"))
    assert {None, Frame(90, 70)} <= seen


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_left_to_pillow() -> None:
    assert plain_frame(jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")) in (None, Frame(90, 70))
    content = turned(6).replace(b"Exif\0\0MM", b"Exif\0\0XX")
    assert plain_frame(content) is None
