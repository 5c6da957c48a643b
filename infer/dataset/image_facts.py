"""What a look at every image of a data set tells: one fixed-size record of facts an image."""

import hashlib
import io
from collections.abc import Sequence
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
from infer.images.parallel_map import FEW, in_order
from infer.images.preprocess import FORMATS, bombs_are_errors, read_rgb

QUANTILES = (5, 25, 50, 75, 95)
"""Of each channel, in percent."""
COLOURS = 3 * (2 + len(QUANTILES))
LEVELS = np.arange(256)
NEAR = 8
"""Levels of luma that pass for one colour."""
CHUNK = 8
"""Images a task of those that are spread over the cores."""
CUT_GREY = 128
"""What JPEG decoders fill the rows with that a file no longer has."""

FACTS = np.dtype(
    [
        ("height", "i4"),
        ("width", "i4"),
        ("kind", "U16"),  # file format and mode, such as `JPEG RGB`
        ("file", "S64"),  # sha256 of the file's bytes, as hexadecimal
        ("pixels", "S64"),  # sha256 of the decoded RGB pixels and their shape
        ("signature", "f4", (SIGNATURE, SIGNATURE)),  # of infer/dataset/near_duplicates.py
        ("colour", "f4", (COLOURS,)),  # mean, std and QUANTILES of each channel, 0 to 255
        ("contrast", "f4"),  # std of the luma (ITU-R BT.601), 0 to 255
        ("uniform", "f4"),  # largest share of pixels within NEAR levels of luma
        ("cut", "f4"),  # share of rows at the lower edge that are CUT_GREY throughout
    ]
)
"""1.3 KB an image."""
Facts = NDArray[np.void]
Floats = NDArray[np.float64]


def facts_of(file: File) -> Facts:
    """The facts of one image: an array of FACTS, []. Raises ImageError."""
    image = read_rgb(file)
    found = np.zeros((), dtype=FACTS)
    pixels_hwc = np.asarray(image)
    found["height"], found["width"] = pixels_hwc.shape[:2]
    content = read_content(file)
    found["file"] = hashlib.sha256(content).hexdigest()
    with Image.open(io.BytesIO(content), formats=FORMATS) as header:
        found["kind"] = f"{header.format} {header.mode}"
    found["pixels"] = hashlib.sha256(repr(pixels_hwc.shape).encode() + pixels_hwc.tobytes()).hexdigest()
    grey = image.convert("L")
    found["signature"] = signature(np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX)))
    mean, std, quantiles = _look(np.array(image.histogram()).reshape(3, -1))
    found["colour"] = np.concatenate([mean, std, quantiles.ravel()])
    levels = np.array(grey.histogram())
    found["contrast"] = _look(levels[None])[1][0]
    found["uniform"] = _largest_share(levels)
    found["cut"] = _grey_end(pixels_hwc)
    return found


def survey(root: Path, paths: Sequence[str], screen: Screen) -> tuple[Facts, dict[int, str]]:
    """Decode every image: facts [n], and for each that cannot be read, by its place, why; its facts are zeros."""
    facts = np.zeros(len(paths), dtype=FACTS)
    unreadable: dict[int, str] = {}
    files = [str(root / path) for path in paths]
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    place, count = 0, cores()
    processes = count > 1 and len(files) >= FEW
    with bombs_are_errors(), screen.bar("decoding", len(paths)) as bar:
        for some in in_order(_facts_of_each, chunks, count, 2 * count, processes):
            for found in some:
                if isinstance(found, ImageError):
                    unreadable[place] = found.reason
                else:
                    facts[place] = found
                place += 1
            bar.step(place)
    return facts, unreadable


def _facts_of_each(files: Sequence[File]) -> list[Facts | ImageError]:
    found: list[Facts | ImageError] = []
    for file in files:
        try:
            found.append(facts_of(file))
        except ImageError as error:
            found.append(error)
    return found


def _look(counts: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Of [n, 256] pixels at each level: mean and std, [n], and QUANTILES, [q, n], each 0 to 255."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ LEVELS
    std = np.sqrt(np.maximum(shares @ LEVELS**2 - mean**2, 0))
    reached = shares.cumsum(axis=1)
    return mean, std, np.array([(reached < percent / 100 - 1e-9).sum(axis=1) for percent in QUANTILES])


def _largest_share(counts: NDArray[np.int64]) -> float:
    """Of the pixels, the largest share within NEAR levels, from [256] pixels at each level."""
    below = np.concatenate([[0], counts.cumsum()])
    return float((below[NEAR:] - below[:-NEAR]).max() / below[-1])


def _grey_end(pixels_hwc: Pixels) -> float:
    """The share of rows at the lower edge that are CUT_GREY throughout."""
    height = len(pixels_hwc)
    end = next(
        (row for row in range(height, 0, -1) if np.abs(pixels_hwc[row - 1].astype(np.int16) - CUT_GREY).max() > 1), 0
    )
    return (height - end) / height
