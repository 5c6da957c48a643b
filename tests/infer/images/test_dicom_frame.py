"""The size of a compressed picture by its own header."""

import io

import pytest
from PIL import Image
from pydicom.encaps import encapsulate

from infer.images.dicom_frame import ELEMENT, frame_size


def compressed(kind: str, size: tuple[int, int], mode: str) -> bytes:
    content = io.BytesIO()
    more = {"no_jp2": True} if kind == "codestream" else {"progressive": True} if kind == "progressive" else {}
    name = "JPEG" if kind in ("JPEG", "progressive") else "JPEG2000"
    Image.new(mode, size).save(content, name, **more)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "JP2", "codestream"])
@pytest.mark.parametrize(("size", "mode", "values"), [((50, 40), "L", 1), ((640, 3), "RGB", 3)])
def test_the_size_is_that_of_the_first_picture(kind: str, size: tuple[int, int], mode: str, values: int) -> None:
    pictures = [compressed(kind, size, mode), compressed(kind, (9, 9), mode)]
    content = io.BytesIO(bytes(ELEMENT) + encapsulate(pictures))
    assert frame_size(content, 2) == (*size, values)


@pytest.mark.parametrize("picture", [bytes(64), b"\xff\xd8\xff\xe0\xff\xd9", b"\xff\x4f\xff\x51\0\0"])
def test_a_picture_of_another_format_or_cut_off_has_no_size(picture: bytes) -> None:
    assert frame_size(io.BytesIO(bytes(ELEMENT) + encapsulate([picture])), 1) is None


@pytest.mark.parametrize("keep", [0.2, 0.7, 0.99])
def test_a_jpeg_that_is_cut_off_is_an_error(keep: float) -> None:
    picture = compressed("JPEG", (50, 40), "RGB")
    content = io.BytesIO(bytes(ELEMENT) + encapsulate([picture[: int(len(picture) * keep)]]))
    with pytest.raises(ValueError, match="cut off"):
        frame_size(content, 1)
