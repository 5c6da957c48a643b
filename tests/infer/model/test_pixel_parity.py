"""The comparison of pixels as people read it."""

from infer.model.pixel_parity import PixelParity


def test_the_text_has_every_figure() -> None:
    text = str(PixelParity(100, 29, 369, 1, 0.0005, 2))
    for part in ("at most 1 of 255", "0.05% of values", "100 images", "from 29 to 369", "differ for it: 2"):
        assert part in text
