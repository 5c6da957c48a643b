"""Facts measured on every image of a data set: size, hashes, colour statistics; one fixed-size record per image."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.cpu import cores
from infer.core.errors import ImageError
from infer.dataset.near_duplicates import SIDE, SIGNATURE, signature
from infer.images.archive import File, read_content
from infer.images.colour import FULL_BITS
from infer.images.decode import bombs_are_errors, open_fitting
from infer.images.dicom import open_dicom, read_header
from infer.images.parallel_map import PROCESSES_FROM, in_order
from infer.images.picture_file import open_header
from infer.images.preprocess import read_rgb

QUANTILES = (5, 25, 50, 75, 95)
"""Quantiles measured of each channel, in percent."""
COLOURS = 3 * (2 + len(QUANTILES))
"""Colour statistics per image: mean, standard deviation and QUANTILES of each of 3 channels."""
LEVELS = np.arange(256)
NEAR = 8
"""Width of the range of luma levels that counts as one brightness."""
CHUNK = 8
"""Images per task when images are spread over the cores."""
CUT_GREY = 128
"""Grey level with which JPEG decoders fill the rows that a file lacks."""

FACTS = np.dtype(
    [
        ("height", "i4"),
        ("width", "i4"),
        ("kind", "U24"),  # file format and mode, such as `JPEG RGB`
        ("file", "S64"),  # sha256 of the file's bytes, as hexadecimal
        ("pixels", "S64"),  # sha256 of the decoded RGB pixels and their shape
        ("signature", "f4", (SIGNATURE, SIGNATURE)),  # as in infer/dataset/near_duplicates.py
        ("colour", "f4", (COLOURS,)),  # mean, std and QUANTILES of each channel, 0 to 255
        ("contrast", "f4"),  # std of the luma (ITU-R BT.601), 0 to 255
        ("uniform", "f4"),  # largest share of pixels within NEAR levels of luma
        ("cut", "f4"),  # share of rows at the lower edge that are CUT_GREY throughout
    ]
)
"""One image's facts, 1.3 KB."""
Facts = NDArray[np.void]
Floats = NDArray[np.float64]


def measure_image(file: File, bits: int = FULL_BITS) -> Facts:
    """Measure one image, decoded as `read_rgb` does: an array of FACTS, []. Raises ImageError."""
    image = read_rgb(file, bits)
    facts = np.zeros((), dtype=FACTS)
    pixels_hwc = np.asarray(image)
    facts["height"], facts["width"] = pixels_hwc.shape[:2]
    content = read_content(file)
    facts["file"] = hashlib.sha256(content).hexdigest()
    facts["kind"] = _kind(content, str(file))
    facts["pixels"] = hashlib.sha256(repr(pixels_hwc.shape).encode() + pixels_hwc.tobytes()).hexdigest()
    grey = image.convert("L")
    facts["signature"] = signature(np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX)))
    mean, std, quantiles = _statistics(np.array(image.histogram()).reshape(3, -1))
    facts["colour"] = np.concatenate([mean, std, quantiles.ravel()])
    histogram = np.array(grey.histogram())
    facts["contrast"] = _statistics(histogram[None])[1][0]
    facts["uniform"] = _largest_share(histogram)
    facts["cut"] = _grey_end(pixels_hwc)
    return facts


def _kind(content: bytes, path: str) -> str:
    """The format and the colour model of an image file: `JPEG RGB`, `DICOM MONOCHROME2`."""
    if dicom := open_dicom(content):
        with dicom:
            return f"DICOM {read_header(dicom, path).PhotometricInterpretation}"
    with open_fitting(content, None, open_header) as header:
        return f"{header.format} {header.mode}"


def measure_images(
    root: Path, paths: Sequence[str], screen: Screen, bits: int = FULL_BITS
) -> tuple[Facts, dict[int, str]]:
    """Decode and measure every image.

    Returns:
        Facts, [n], zeros where an image cannot be read; and the reason for each such image, by its index.
    """
    facts = np.zeros(len(paths), dtype=FACTS)
    unreadable: dict[int, str] = {}
    files = [str(root / path) for path in paths]
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    index, count = 0, cores()
    processes = count > 1 and len(files) >= PROCESSES_FROM
    with bombs_are_errors(), screen.bar("decoding", len(paths)) as bar:
        for results in in_order(partial(_measure_chunk, bits), chunks, count, 2 * count, processes):
            for result in results:
                if isinstance(result, ImageError):
                    unreadable[index] = result.reason
                else:
                    facts[index] = result
                index += 1
            bar.step(index)
    return facts, unreadable


def _measure_chunk(bits: int, files: Sequence[File]) -> list[Facts | ImageError]:
    results: list[Facts | ImageError] = []
    for file in files:
        try:
            results.append(measure_image(file, bits))
        except ImageError as error:
            results.append(error)
    return results


def _statistics(counts: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """From histograms [n, 256]: mean and std, [n], and QUANTILES, [q, n], each 0 to 255."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ LEVELS
    std = np.sqrt(np.maximum(shares @ LEVELS**2 - mean**2, 0))
    reached = shares.cumsum(axis=1)
    return mean, std, np.array([(reached < percent / 100 - 1e-9).sum(axis=1) for percent in QUANTILES])


def _largest_share(counts: NDArray[np.int64]) -> float:
    """Return the largest share of pixels within NEAR adjacent levels of a histogram, [256]."""
    below = np.concatenate([[0], counts.cumsum()])
    return float((below[NEAR:] - below[:-NEAR]).max() / below[-1])


def _grey_end(pixels_hwc: Pixels) -> float:
    """Return the share of rows at the lower edge that consist of CUT_GREY only."""
    height = len(pixels_hwc)
    intact = next(
        (row for row in range(height, 0, -1) if np.abs(pixels_hwc[row - 1].astype(np.int16) - CUT_GREY).max() > 1), 0
    )
    return (height - intact) / height
