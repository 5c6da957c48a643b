"""A picture means the same pixels however it is stored: each kind of file against the picture as 8-bit RGB."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.picture_files import bmp, chunk, deep_png, packed, png, tiff
from numpy.typing import NDArray
from PIL import Image, ImageCms

from infer.core.errors import ImageError
from infer.images.colour import BITS, bits_for, is_deep, read_samples, to_8_bits
from infer.images.picture_file import open_picture
from infer.images.preprocess import read_rgb

Array = NDArray[np.uint8]
HEIGHT, WIDTH = 12, 16


def made() -> Array:
    coarse = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


SCENE = made()
GREY = np.asarray(Image.fromarray(SCENE).convert("L"))
ALPHA = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
OPAQUE = np.full_like(ALPHA, 255)
PALETTE = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
SRGB, LAB = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))


def in_rgb(grey: Array) -> Array:
    return np.stack([grey] * 3, axis=-1)


def with_alpha(pixels: Array, alpha: Array) -> Array:
    return np.concatenate([pixels, alpha], axis=-1)


def over_black(pixels: Array) -> Array:
    return np.rint(pixels * (ALPHA / 255)).astype(np.uint8)


def saved(image: Image.Image | Array, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(content, kind, **options)
    return content.getvalue()


def few(bits: int) -> tuple[Array, Array]:
    """The grey picture in values of a few bits, and the levels that they mean."""
    values = GREY >> (8 - bits)
    return values, (values.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)


def without_one(pixels: Array, values: Array, key: object) -> Array:
    """The picture without the pixels that are transparent."""
    hidden = (values == key) if values.ndim == 2 else (values == key).all(axis=-1)
    return np.where(hidden[..., None], 0, pixels).astype(np.uint8)


def deep(pixels: Array) -> NDArray[np.uint16]:
    return pixels.astype(np.uint16) * 257


def colours(scale: int, bits: int = 8) -> dict[int, list[int]]:
    return {320: [int(value) * scale for value in PALETTE[: 2**bits].T.ravel()]}


def in_tiff(pixels: NDArray[np.generic], photometric: int, **more: Any) -> bytes:
    order = more.get("order", "<")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    return tiff(data, WIDTH, HEIGHT, 8 * pixels.dtype.itemsize, photometric, channels, **more)


def few_bits() -> dict[str, tuple[bytes, Array]]:
    variants: dict[str, tuple[bytes, Array]] = {}
    for bits in (1, 2, 4):
        values, levels = few(bits)
        rows, key = packed(values, bits), int(values[3, 3])
        transparent = chunk(b"tRNS", struct.pack(">H", key))
        variants[f"PNG grey of {bits} bits"] = png(rows, WIDTH, bits, 0), in_rgb(levels)
        variants[f"PNG grey of {bits} bits, one transparent"] = (
            png(rows, WIDTH, bits, 0, transparent),
            without_one(in_rgb(levels), values, key),
        )
        entries = chunk(b"PLTE", PALETTE[: 2**bits].tobytes())
        variants[f"PNG palette of {bits} bits"] = png(rows, WIDTH, bits, 3, entries), PALETTE[values]
        data, inverted = b"".join(rows), bytes(255 - value for value in b"".join(rows))
        variants[f"TIFF grey of {bits} bits"] = tiff(data, WIDTH, HEIGHT, bits, 1), in_rgb(levels)
        variants[f"TIFF grey of {bits} bits from white"] = tiff(inverted, WIDTH, HEIGHT, bits, 0), in_rgb(levels)
        variants[f"TIFF palette of {bits} bits"] = (
            tiff(data, WIDTH, HEIGHT, bits, 3, tags=colours(257, bits)),
            PALETTE[values],
        )
    return variants


KEY = SCENE[3, 3]
RGB_KEY = chunk(b"tRNS", struct.pack(">HHH", *(int(value) for value in KEY)))
DEEP_RGB_KEY = chunk(b"tRNS", struct.pack(">HHH", *(int(value) * 257 for value in KEY)))
DEEP_GREY_KEY = chunk(b"tRNS", struct.pack(">H", int(GREY[3, 3]) * 257))
FOUR_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
UNUSED = np.zeros_like(ALPHA)
QUANTIZED = Image.fromarray(SCENE).quantize(64)
INDEXED = np.asarray(QUANTIZED.convert("RGB"))
FIVE = (SCENE >> 3).astype("<u2")
SIX = (SCENE[..., 1] >> 2).astype("<u2")


def bgr(pixels: Array, alpha: Array) -> bytes:
    return with_alpha(pixels[::-1, :, ::-1], alpha[::-1]).tobytes()


EXACT: dict[str, tuple[bytes, Array]] = {
    **few_bits(),
    "PNG grey": (saved(GREY, "PNG"), in_rgb(GREY)),
    "PNG RGB": (saved(SCENE, "PNG"), SCENE),
    "PNG RGB, one colour transparent": (
        png([row.tobytes() for row in SCENE], WIDTH, 8, 2, RGB_KEY),
        without_one(SCENE, SCENE, KEY),
    ),
    "PNG grey and alpha": (saved(with_alpha(GREY[..., None], OPAQUE), "PNG"), in_rgb(GREY)),
    "PNG RGBA": (saved(with_alpha(SCENE, ALPHA), "PNG"), over_black(SCENE)),
    "PNG grey of 16 bits": (deep_png(deep(GREY)), in_rgb(GREY)),
    "PNG grey of 16 bits, one transparent": (
        deep_png(deep(GREY), DEEP_GREY_KEY),
        without_one(in_rgb(GREY), GREY, GREY[3, 3]),
    ),
    "PNG grey and alpha of 16 bits": (deep_png(deep(with_alpha(GREY[..., None], OPAQUE))), in_rgb(GREY)),
    "PNG RGB of 16 bits": (deep_png(deep(SCENE)), SCENE),
    "PNG RGB of 16 bits, one colour transparent": (
        deep_png(deep(SCENE), DEEP_RGB_KEY),
        without_one(SCENE, SCENE, KEY),
    ),
    "PNG RGBA of 16 bits": (deep_png(deep(with_alpha(SCENE, ALPHA))), over_black(SCENE)),
    "PNG animated": (saved(SCENE, "PNG", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]), SCENE),
    **{
        f"TIFF {name}": (saved(SCENE, "TIFF", compression=name), SCENE)
        for name in ("raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "zstd")
    },
    "TIFF of 64-bit offsets": (saved(SCENE, "TIFF", big_tiff=True), SCENE),
    "TIFF CMYK": (saved(Image.fromarray(SCENE).convert("CMYK"), "TIFF"), SCENE),
    "TIFF grey from white": (in_tiff(255 - GREY, 0), in_rgb(GREY)),
    "TIFF grey of 16 bits": (in_tiff(deep(GREY), 1), in_rgb(GREY)),
    "TIFF grey of 16 bits, big-endian": (in_tiff(deep(GREY), 1, order=">"), in_rgb(GREY)),
    "TIFF grey of 16 bits from white": (in_tiff(65535 - deep(GREY), 0), in_rgb(GREY)),
    "TIFF RGB of 16 bits": (in_tiff(deep(SCENE), 2), SCENE),
    "TIFF RGB of 16 bits, big-endian": (in_tiff(deep(SCENE), 2, order=">"), SCENE),
    "TIFF palette": (in_tiff(GREY, 3, tags=colours(257)), PALETTE[GREY]),
    "TIFF palette of 8-bit colours": (in_tiff(GREY, 3, tags=colours(1)), PALETTE[GREY]),
    "TIFF RGBA": (in_tiff(with_alpha(SCENE, ALPHA), 2, tags={338: [2]}), over_black(SCENE)),
    "TIFF RGBA, multiplied": (in_tiff(with_alpha(over_black(SCENE), ALPHA), 2, tags={338: [1]}), over_black(SCENE)),
    "TIFF grey and alpha": (in_tiff(with_alpha(GREY[..., None], ALPHA), 1, tags={338: [2]}), over_black(in_rgb(GREY))),
    "TIFF RGB and another channel": (in_tiff(with_alpha(SCENE, ALPHA), 2, tags={338: [0]}), SCENE),
    "BMP": (saved(SCENE, "BMP"), SCENE),
    "BMP grey": (saved(GREY, "BMP"), in_rgb(GREY)),
    "BMP from the top": (bmp(SCENE[..., ::-1].tobytes(), WIDTH, -HEIGHT, 24), SCENE),
    "BMP of 32 bits": (bmp(bgr(SCENE, ALPHA), WIDTH, HEIGHT, 32), SCENE),
    "BMP with alpha": (bmp(bgr(SCENE, ALPHA), WIDTH, HEIGHT, 32, FOUR_MASKS, 3), over_black(SCENE)),
    "BMP with an empty alpha": (bmp(bgr(SCENE, UNUSED), WIDTH, HEIGHT, 32, FOUR_MASKS, 3), SCENE),
    "BMP of 15 bits": (
        bmp((FIVE[..., 0] << 10 | FIVE[..., 1] << 5 | FIVE[..., 2])[::-1].tobytes(), WIDTH, HEIGHT, 16),
        (FIVE * 255 // 31).astype(np.uint8),
    ),
    "BMP of 16 bits": (
        bmp(
            (FIVE[..., 0] << 11 | SIX << 5 | FIVE[..., 2])[::-1].tobytes(), WIDTH, HEIGHT, 16, (0xF800, 0x7E0, 0x1F), 3
        ),
        np.stack([FIVE[..., 0] * 255 // 31, SIX * 255 // 63, FIVE[..., 2] * 255 // 31], axis=-1).astype(np.uint8),
    ),
    "WebP": (saved(SCENE, "WEBP", lossless=True), SCENE),
    "WebP with alpha": (saved(with_alpha(SCENE, ALPHA), "WEBP", lossless=True, exact=True), over_black(SCENE)),
    "WebP animated": (
        saved(SCENE, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
        SCENE,
    ),
    "GIF": (saved(QUANTIZED, "GIF"), INDEXED),
    "GIF interlaced": (saved(QUANTIZED, "GIF", interlace=1), INDEXED),
    "GIF animated": (saved(QUANTIZED, "GIF", save_all=True, append_images=[QUANTIZED.rotate(180)]), INDEXED),
    "GIF, one transparent": (
        saved(QUANTIZED, "GIF", transparency=3),
        without_one(INDEXED, np.asarray(QUANTIZED), 3),
    ),
}
LOSSY: dict[str, bytes] = {
    "JPEG": saved(SCENE, "JPEG", quality=100, subsampling=0),
    "JPEG progressive": saved(SCENE, "JPEG", quality=100, subsampling=0, progressive=True),
    "JPEG of RGB": saved(SCENE, "JPEG", quality=100, keep_rgb=True),
    "JPEG CMYK": saved(Image.fromarray(SCENE).convert("CMYK"), "JPEG", quality=100),
    "TIFF YCbCr": saved(Image.fromarray(SCENE).convert("YCbCr"), "TIFF"),
    "TIFF of JPEG": saved(SCENE, "TIFF", compression="jpeg", quality=100),
    "TIFF Lab": saved(
        ImageCms.applyTransform(Image.fromarray(SCENE), ImageCms.buildTransform(SRGB, LAB, "RGB", "LAB")), "TIFF"
    ),
}
REFUSED: dict[str, bytes] = {
    "TIFF of float values": in_tiff((GREY / 255).astype(np.float32), 1, tags={339: [3]}),
    "TIFF of signed values": in_tiff(GREY.astype(np.int16), 1, tags={339: [2]}),
    "TIFF of 32 bits": in_tiff(GREY.astype(np.uint32), 1),
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., NDArray[np.int64]]:
    def function(content: bytes, bits: int = 16) -> NDArray[np.int64]:
        (tmp_path / "picture").write_bytes(content)
        return np.asarray(read_rgb(str(tmp_path / "picture"), bits)).astype(np.int64)

    return function


@pytest.mark.parametrize("kind", EXACT)
def test_a_picture_has_the_same_pixels_in_each_lossless_kind_of_file(kind: str, read: Callable) -> None:
    content, expected = EXACT[kind]
    assert np.abs(read(content) - expected).max() <= 1  # alpha is rounded


@pytest.mark.parametrize("kind", LOSSY)
def test_a_picture_has_nearly_the_same_pixels_in_each_lossy_kind_of_file(kind: str, read: Callable) -> None:
    assert np.abs(read(LOSSY[kind]) - SCENE).mean() < 2


@pytest.mark.parametrize("kind", REFUSED)
def test_values_without_a_range_are_refused(kind: str, read: Callable) -> None:
    with pytest.raises(ImageError, match=r"32-bit or signed values \(mode [IF]\) have no known range; save 8 or 16"):
        read(REFUSED[kind])


def test_all_16_bit_values_are_scaled_to_the_nearest_level() -> None:
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_8_bits(values, 16), np.rint(values / 257))


@pytest.mark.parametrize("bits", BITS)
def test_black_and_white_of_any_bits_are_those_of_8_and_larger_values_are_white(bits: int) -> None:
    white = 2**bits - 1
    values = np.array([0, white // 2, white, min(65535, white + 1), 65535], dtype=np.uint16)
    assert to_8_bits(values, bits).tolist() == [0, 127, 255, 255, 255]


TWELVE = {
    "PNG grey": deep_png(GREY.astype(np.uint16) * 16),
    "PNG grey and alpha": deep_png(np.stack([GREY.astype(np.uint16) * 16, np.full(GREY.shape, 4095, "u2")], -1)),
    "PNG RGB": deep_png(in_rgb(GREY).astype(np.uint16) * 16),
    "PNG RGBA": deep_png(np.concatenate([in_rgb(GREY).astype(np.uint16) * 16, np.full((HEIGHT, WIDTH, 1), 4095)], -1)),
    "TIFF grey": in_tiff(GREY.astype(np.uint16) * 16, 1),
    "TIFF RGB": in_tiff(in_rgb(GREY).astype(np.uint16) * 16, 2),
    "TIFF RGB, big-endian": in_tiff(in_rgb(GREY).astype(np.uint16) * 16, 2, order=">"),
    "TIFF grey, compressed": saved(Image.fromarray(GREY.astype(np.uint16) * 16), "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", TWELVE)
def test_12_bit_values_in_16_bit_files_fill_all_levels_where_12_bits_are_asked_for(kind: str, read: Callable) -> None:
    content, expected = TWELVE[kind], np.rint(in_rgb(GREY) * 16.0 * 255 / 4095)
    assert np.abs(read(content, 12) - expected).max() <= 1
    assert read(content).max() <= 16


@pytest.mark.parametrize("kind", TWELVE)
def test_the_values_of_a_deep_file_are_read_in_full(kind: str) -> None:
    with open_picture(TWELVE[kind]) as image:
        assert is_deep(image)
        samples = read_samples(image, TWELVE[kind])
    np.testing.assert_array_equal(samples if samples.ndim == 2 else samples[..., 1], GREY.astype(np.uint16) * 16)


def test_bits_change_nothing_in_files_of_8_bits(read: Callable) -> None:
    for kind in ("PNG RGB", "PNG grey of 4 bits", "BMP of 16 bits", "GIF"):
        np.testing.assert_array_equal(read(EXACT[kind][0], 12), read(EXACT[kind][0]))


@pytest.mark.parametrize(
    ("largest", "bits"), [(0, 8), (255, 8), (256, 10), (4080, 12), (4095, 12), (4096, 14), (16383, 14), (65535, 16)]
)
def test_the_bits_of_values_are_the_fewest_that_hold_the_largest(largest: int, bits: int) -> None:
    assert bits_for(largest) == bits
