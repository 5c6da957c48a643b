"""An uploaded image is decoded as a file of its bytes and name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from infer.images.decode import decode
from infer.images.upload import Upload


def test_an_upload_has_the_pixels_of_the_file(tmp_path: Path, save_image: Callable) -> None:
    for name in ("a.png", "b.jpg", "c"):
        path = save_image(tmp_path / (name if "." in name else "c.bmp"))
        upload = Upload(name, path.read_bytes())
        assert np.array_equal(decode(upload)[0], decode(str(path))[0])
        assert (str(upload), upload.open().read(3), upload.changed()) == (name, path.read_bytes()[:3], 0)
