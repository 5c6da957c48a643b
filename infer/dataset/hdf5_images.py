"""PatchCamelyon's pairs of HDF5 files: `..._split_train_x.h5` with the images, `..._split_train_y.h5` with the labels.

Source: github.com/basveeling/pcam. `..._split_train_meta.csv` tells the slide (column `wsi`) that each patch is of.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infer.core.errors import DataError, MissingExtraError
from infer.core.text import listed
from infer.dataset.label_file import read_label_file
from infer.dataset.packed import GROUP, LABEL, SPLIT, Contents, Item, Packed, require_picture, splits_of
from infer.dataset.table import TRAIN

if TYPE_CHECKING:
    import h5py

PAIR = re.compile(r"(.*_)[xy](\.h5|\.hdf5)(\.gz)?", re.IGNORECASE)
SLIDE = "wsi"
ROWS = 256
"""Images read at once where the file is not stored in chunks."""
MAX_CHUNK = 1 << 30
"""Bytes of one chunk of a file, which is read as a whole."""
MAX_COMPRESSION = 1100
"""Deflate makes nothing smaller than by this factor; a file that declares more does not hold it."""


def is_half_of_pair(path: Path) -> bool:
    """Whether a file is named as the images of a pair, PatchCamelyon's or one whose labels are there.

    A compressed file only where it was not decompressed beside.
    """
    match = PAIR.fullmatch(path.name)
    if match is None or not path.name.startswith(f"{match[1]}x") or (match[3] and path.with_suffix("").exists()):
        return False
    labels = path.with_name(f"{match[1]}y{match[2]}")
    return path.name.startswith("camelyonpatch") or labels.exists() or labels.with_name(f"{labels.name}.gz").exists()


def read_with(path: Path) -> list[Path]:
    """The labels and the table of slides of a pair, as far as they are there."""
    match = PAIR.fullmatch(path.name)
    names = [f"{match[1]}{rest}" for rest in (f"x{match[2]}", f"y{match[2]}", "meta.csv")] if match else []
    return [file for name in names if (file := path.with_name(name)).is_file()]


def read_hdf5(packed: Packed) -> Contents:
    """The images of all pairs; the slide is the group where the table of slides lies beside.

    Raises:
        DataError: a half of a pair is not there, is compressed, or holds something else.
        MissingExtraError: h5py is not installed.
    """
    pairs = [_pair(file) for file in packed.files]
    splits = [split or TRAIN for split in splits_of(packed)]
    counts = []
    for images, labels in pairs:
        with _dataset(images, "x") as x, _dataset(labels, "y") as y:
            _require_pair(images, x, labels, y)
            counts.append(x.shape[0])
    names = [
        packed.inner_name(file) if len(set(splits)) < len(splits) else split
        for file, split in zip(packed.files, splits, strict=True)
    ]
    items = (
        item for pair, split, name in zip(pairs, splits, names, strict=True) for item in _items(*pair, split, name)
    )
    return Contents(count=sum(counts), items=items, class_names={LABEL: ()})


def _pair(file: Path) -> tuple[Path, Path]:
    """The files of images and labels, whichever of them is named. Raises DataError."""
    match = PAIR.fullmatch(file.name)
    if match is None:
        raise DataError(
            f"{file} is not named as one of a pair, such as train_x.h5 with the images and train_y.h5 with the labels; "
            "rename it"
        )
    images, labels = (file.with_name(f"{match[1]}{half}{match[2]}") for half in "xy")
    for half in (images, labels):
        packed = half.with_name(f"{half.name}.gz")
        if not half.is_file() and packed.is_file():
            raise DataError(f"{packed} is compressed as a whole; decompress it first: gunzip -k {packed}")
        if not half.is_file():
            raise DataError(f"there is no {half}, the other half of {file}; download it too")
    return images, labels


def _require_pair(images: Path, x: "h5py.Dataset", labels: Path, y: "h5py.Dataset") -> None:
    """Raises DataError unless `x` holds images, and `y` one label for each."""
    require_picture(x.shape, "x", images)
    if x.dtype != np.uint8:
        raise DataError(f"{images}: x holds {x.dtype} values, and lab reads uint8; save it as uint8")
    if y.dtype.kind not in "biu" or y.shape[:1] != x.shape[:1] or any(side != 1 for side in y.shape[1:]):
        raise DataError(
            f"{labels}: y holds {y.dtype} values of shape {list(y.shape)} for {x.shape[0]} images; give one label each"
        )
    for path, dataset in ((images, x), (labels, y)):
        size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
        held = dataset.id.get_storage_size()
        chunk = int(np.prod(dataset.chunks or (0,), dtype=object)) * dataset.dtype.itemsize
        if size > held * MAX_COMPRESSION or chunk > MAX_CHUNK:
            raise DataError(
                f"{path} declares {size} bytes of shape {list(dataset.shape)} and holds {held}; do not trust it, or "
                "download it again"
            )


def _items(images: Path, labels: Path, split: str, name: str) -> Iterator[Item]:
    with _dataset(images, "x") as x, _dataset(labels, "y") as y:
        values = y[...].reshape(-1)
        slides = _slides(images, len(values))
        digits = len(str(len(values) - 1))
        rows = x.chunks[0] if x.chunks else ROWS
        for start in range(0, len(values), rows):
            pixels = x[start : start + rows]
            pixels = pixels[..., 0] if pixels.shape[3:] == (1,) else pixels
            for row, picture in enumerate(pixels, start):
                fields = {LABEL: str(int(values[row])), SPLIT: split} | ({GROUP: slides[row]} if slides else {})
                yield Item(f"{name}/{row:0{digits}}.png", picture, fields)


def _slides(images: Path, count: int) -> Sequence[str]:
    """The slide of each patch by the table beside, () where there is none. Raises DataError."""
    table = images.with_name(f"{images.stem.removesuffix('x')}meta.csv")
    if not table.is_file():
        return ()
    read = read_label_file(table)
    if SLIDE not in read.header:
        return ()
    if len(read.rows) != count:
        raise DataError(f"{table} has {len(read.rows)} rows for the {count} images of {images}; download both again")
    return read.column(read.header.index(SLIDE))


@contextmanager
def _dataset(path: Path, name: str) -> Iterator["h5py.Dataset"]:
    """A data set of a file, all of it inside that file; errors of reading it become a DataError."""
    h5py = _h5py(path)
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
                raise DataError(f"{path} has {listed(sorted(file)) or 'nothing'}, and lab reads its data set {name}")
            dataset = file[name]
            if dataset.external or dataset.is_virtual:
                raise DataError(f"{path}: {name} lies in other files; do not trust it, or copy it into one file")
            yield dataset
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # h5py's for damaged files and unknown filters
        what = str(error).partition("\n")[0]
        raise DataError(f"cannot read {path}: {what}; download it again") from error


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path} needs h5py, which is not installed; run pip install '.[hdf5]' in lab's folder"
        ) from error
    return h5py
