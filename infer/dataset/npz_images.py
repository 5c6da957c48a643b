"""MedMNIST's arrays: one .npz with train_images, train_labels, val_images, ... of one data set.

An .npz is a zip file of .npy arrays. They are read image by image from there, so that memory does not grow with them.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from infer.core.arrays import Pixels
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.medmnist import class_names, finding_names
from infer.dataset.packed import LABEL, SPLIT, Contents, Item, Packed, require_picture
from infer.dataset.table import TEST, TRAIN, VALID
from infer.images.archive import MAX_MEMBER

SPLITS = {"train": TRAIN, "val": VALID, "test": TEST}
"""As MedMNIST names them."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Readers of the header of a .npy file, by its version."""
BAD_ZIP = (zipfile.BadZipFile, UnicodeDecodeError)
"""What zipfile raises for a damaged file, and for a name that is not the UTF-8 that its flag says."""
BAD_HEADERS = (SyntaxError, tokenize.TokenError, RecursionError, MemoryError)
"""What they raise besides ValueError: they take the header for a literal of Python, perhaps of Python 2."""


@dataclass(frozen=True)
class _Array:
    """An array of the file as its header declares it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def is_medmnist(path: Path) -> bool:
    """Whether a .npz file has an array of MedMNIST's names."""
    try:
        with zipfile.ZipFile(path) as file:
            names = set(file.namelist())
    except (OSError, *BAD_ZIP):
        return False
    return any(f"{name}_images.npy" in names for name in SPLITS)


def read_npz(packed: Packed) -> Contents:
    """The images of all splits, grey or colour; labels of several columns become one field each.

    Raises:
        DataError: it is no such file, is damaged, or holds volumes, pickled objects or other values than uint8.
    """
    path = packed.files[0]
    with _opened(path) as file:
        arrays = {name.removesuffix(".npy") for name in file.namelist()}
        splits = [name for name in SPLITS if f"{name}_images" in arrays]
        if not splits:
            raise DataError(
                f"{path} has the arrays {listed(sorted(arrays)) or 'none'}, and lab reads MedMNIST's train_images, "
                "train_labels, val_images, val_labels, test_images and test_labels; save them under these names"
            )
        if lost := [f"{name}_labels" for name in splits if f"{name}_labels" not in arrays and name != "test"]:
            raise DataError(f"{path} has no array {listed(lost)}; add the labels, one an image")
        images = {name: _images(file, name, path) for name in splits}
        labels = {name: _labels(file, name, images[name], path) for name in splits if f"{name}_labels" in arrays}
    names = class_names(packed.name, {cell for rows in labels.values() for cell in rows.get(LABEL, [])})
    several = any(LABEL not in rows for rows in labels.values())
    return Contents(
        count=sum(array.shape[0] for array in images.values()),
        items=_items(path, images, labels),
        class_names={} if several else {LABEL: names},
    )


def _images(file: zipfile.ZipFile, split: str, path: Path) -> _Array:
    array = _header(file, f"{split}_images", path)
    require_picture(array.shape, array.name, path)
    if array.dtype != np.uint8:
        raise DataError(f"{path}: {array.name} holds {array.dtype} values, and lab reads uint8; save it as uint8")
    return array


def _labels(file: zipfile.ZipFile, split: str, images: _Array, path: Path) -> Mapping[str, list[str]]:
    """The labels of a split by column: one, or one for each finding of a set with several findings an image.

    Negative numbers are "", as they mark images whose label is not known.
    """
    array = _header(file, f"{split}_labels", path)
    columns = math.prod(array.shape[1:])
    if array.shape[:1] != images.shape[:1] or len(array.shape) > 2 or not columns:
        raise DataError(
            f"{path}: {array.name} has the shape {list(array.shape)} for {images.shape[0]} images; give one label each"
        )
    size = math.prod(array.shape) * array.dtype.itemsize
    if array.dtype.kind not in "biuU" or size > MAX_MEMBER:
        raise DataError(f"{path}: {array.name} holds {array.dtype} values, {size} bytes; save it as whole numbers")
    with file.open(f"{array.name}.npy") as member:
        _read_header(member, array.name, path)
        values = _values(member, array, path, size).reshape(-1, columns)
    names = [LABEL] if columns == 1 else finding_names(path.stem, columns)
    text = str if array.dtype.kind == "U" else lambda value: str(int(value)) if value >= 0 else ""
    return {name: [text(value) for value in values[:, position]] for position, name in enumerate(names)}


def _items(path: Path, images: Mapping[str, _Array], labels: Mapping[str, Mapping[str, list[str]]]) -> Iterator[Item]:
    with _opened(path) as file:
        for split, array in images.items():
            shape = array.shape[1:3] if array.shape[3:] == (1,) else array.shape[1:]
            digits = len(str(array.shape[0] - 1))
            with file.open(f"{array.name}.npy") as member:
                _read_header(member, array.name, path)
                for row in range(array.shape[0]):
                    pixels: Pixels = _values(member, array, path, math.prod(shape)).reshape(shape)
                    fields = {name: values[row] for name, values in labels.get(split, {}).items()}
                    yield Item(f"{SPLITS[split]}/{row:0{digits}}.png", pixels, {**fields, SPLIT: SPLITS[split]})
                member.read(1)  # at its end, the checksum of the member is compared


def _values(member: IO[bytes], array: _Array, path: Path, size: int) -> NDArray[Any]:
    content = member.read(size)
    if len(content) != size:
        raise DataError(f"{path} is damaged: {array.name} ends before its last value; download it again")
    return np.frombuffer(content, array.dtype)


def _header(file: zipfile.ZipFile, name: str, path: Path) -> _Array:
    """What an array's header declares, once it fits the bytes that the file holds. Raises DataError."""
    with file.open(f"{name}.npy") as member:
        array = _read_header(member, name, path)
        held = file.getinfo(f"{name}.npy").file_size - member.tell()
    declared = math.prod(array.shape) * array.dtype.itemsize
    if declared != held:
        raise DataError(
            f"{path}: {name} declares {list(array.shape)} values of {array.dtype}, {declared} bytes, and holds {held}; "
            "do not trust it, or download it again"
        )
    return array


def _read_header(member: IO[bytes], name: str, path: Path) -> _Array:
    try:
        version = npy.read_magic(member)
        shape, fortran, dtype = HEADERS[version](member)
    except (ValueError, LookupError, *BAD_HEADERS) as error:
        raise DataError(f"{path}: {name} is no array of numpy's versions 1 or 2; save it with numpy.savez") from error
    if dtype.hasobject:
        raise DataError(
            f"{path}: {name} holds pickled objects, which can run code when they are read; do not trust it, or save it "
            "as numbers"
        )
    if fortran and len(shape) > 1:
        raise DataError(f"{path}: {name} is stored by columns; save it again after numpy.ascontiguousarray")
    return _Array(name, shape, dtype)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file; errors of reading it become a DataError."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except (*BAD_ZIP, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:  # encrypted: RuntimeError
        raise DataError(f"{path} is not an .npz file, or is damaged: {error}; download it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
