"""Small images of each kind that lab decodes, as bytes, by a name with the format's suffix."""

import io
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from helpers.dicom_files import dicom_bytes, dicom_header
from helpers.picture_files import bmp, deep_png, packed, png, tiff
from helpers.tiff import Page, write_tiff
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

SIDE = 40


def image_seeds(folder: Path) -> Mapping[str, Mapping[str, bytes]]:
    """The images by the name of their format in `infer.images.formats`; `folder` is for files in the making."""
    rgb = noise(SIDE, 3)
    grey, deep = rgb[..., 0].copy(), noise(SIDE, 1).astype(np.uint16)[..., 0] * 200
    picture, plain = Image.fromarray(rgb), Image.fromarray(grey)
    exif = Image.Exif()
    exif[274] = 6
    frames = {"save_all": True, "append_images": [picture.rotate(90)]}
    return {
        "JPEG": {
            "rgb.jpg": saved(picture, "JPEG", exif=exif),
            "grey.jpg": saved(plain, "JPEG", progressive=True),
            "cmyk.jpg": saved(picture.convert("CMYK"), "JPEG", icc_profile=b"x" * 200),
            "large.jpg": saved(picture.resize((400, 300)), "JPEG", restart_marker_blocks=2),
        },
        "PNG": {
            "rgb.png": saved(picture, "PNG", exif=exif),
            "palette.png": saved(picture.quantize(16), "PNG", transparency=3),
            "alpha.png": saved(picture.convert("RGBA"), "PNG"),
            "grey16.png": deep_png(deep),
            "rgb16.png": deep_png(np.stack([deep] * 3, 2)),
            "bits.png": png(packed(grey // 128, 1), SIDE, 1, 0),
        },
        "BMP": {
            "rgb.bmp": saved(picture, "BMP"),
            "palette.bmp": saved(picture.quantize(16), "BMP"),
            "masks.bmp": bmp(rgb.tobytes()[: SIDE * SIDE * 2], SIDE, SIDE, 16, (0xF800, 0x7E0, 0x1F, 0), 3),
        },
        "TIFF": {
            **{f"{name}.tif": saved(picture, "TIFF", compression=name) for name in ("tiff_lzw", "packbits", "jpeg")},
            "deflate.tif": saved(plain, "TIFF", compression="tiff_adobe_deflate"),
            "fax.tif": saved(plain.convert("1"), "TIFF", compression="group4"),
            "pages.tif": saved(picture, "TIFF", **frames),
            "grey16.tif": saved(Image.fromarray(deep), "TIFF"),
            "strip.tif": tiff(rgb.tobytes(), SIDE, SIDE, 8, 2, 3, ">"),
            "levels.tif": levels(folder / "levels.tif"),
        },
        "WebP": {
            "lossy.webp": saved(picture, "WEBP", exif=exif),
            "lossless.webp": saved(picture.convert("RGBA"), "WEBP", lossless=True),
            "frames.webp": saved(picture, "WEBP", **frames),
        },
        "GIF": {
            "one.gif": saved(picture, "GIF"),
            "frames.gif": saved(picture, "GIF", transparency=2, disposal=2, **frames),
        },
        "DICOM": dicoms(rgb, deep),
    }


def noise(side: int, channels: int) -> NDArray[np.uint8]:
    """Pixels that repeat and differ: uint8 [side, side, channels]."""
    values = bytes(random.Random(0).randrange(0, 256, 5) for _ in range(side * side * channels))
    return np.sort(np.frombuffer(values, np.uint8).reshape(side, side, channels), axis=1)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as Pillow writes it."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def levels(path: Path) -> bytes:
    """A pyramid of two levels in tiles."""
    write_tiff(path, [Page(noise(64, 3), tile=32, children=[Page(noise(32, 3), subfile=1, tile=16)])])
    return path.read_bytes()


def dicoms(rgb: NDArray[np.uint8], deep: NDArray[np.uint16]) -> dict[str, bytes]:
    """DICOM files: grey with a window and a rescaling, colour, and pictures that are compressed."""
    picture = Image.fromarray(rgb)
    compressed = {
        "jpeg.dcm": (JPEGBaseline8Bit, saved(picture, "JPEG")),
        "jpeg2000.dcm": (JPEG2000Lossless, saved(picture, "JPEG2000", no_jp2=True)),
    }
    found = {
        "grey.dcm": dicom_bytes(dicom_header(deep, WindowCenter=2000, WindowWidth=4000, RescaleSlope=1.5)),
        "rgb.dcm": dicom_bytes(dicom_header(rgb, PlanarConfiguration=0)),
        "frames.dcm": dicom_bytes(dicom_header(deep, NumberOfFrames=1, PixelRepresentation=1, RescaleIntercept=-1024)),
    }
    for name, (syntax, frame) in compressed.items():
        header = dicom_header(rgb, PixelData=encapsulate([frame]))
        header["PixelData"].VR = "OB"
        header.file_meta.TransferSyntaxUID = syntax
        found[name] = dicom_bytes(header)
    runs = dicom_header(rgb)
    runs.compress(RLELossless)
    return {**found, "runs.dcm": dicom_bytes(runs)}
