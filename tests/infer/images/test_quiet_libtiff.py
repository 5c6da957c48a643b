"""A damaged TIFF is one error, and libtiff prints nothing beside it."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, _imaging

from infer.core.errors import ImageError
from infer.images.preprocess import read_rgb
from infer.images.quiet_libtiff import silence_libtiff


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"])
def test_a_damaged_tiff_prints_nothing(compression: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    content = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert("1") if compression == "group4" else image).save(content, "TIFF", compression=compression)
    damaged = bytearray(content.getvalue())
    with Image.open(content) as written:
        (start,), (size,) = written.tag_v2[273], written.tag_v2[279]
    damaged[start : start + size] = bytes(size)
    path = tmp_path / "damaged.tif"
    path.write_bytes(damaged)
    with pytest.raises(ImageError):
        read_rgb(str(path))
    assert capfd.readouterr().err == ""


def test_where_libtiff_cannot_be_found_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (sys.executable, "/no/such/library", None):
        monkeypatch.setattr(_imaging, "__file__", file)
        silence_libtiff()
