"""The kinds of files that hold images inside, and how a file or a folder is recognised as one of them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.hdf5_images import is_half_of_pair, read_hdf5, read_with
from infer.dataset.npz_images import is_medmnist, read_npz
from infer.dataset.packed import Kind, Packed
from infer.dataset.parquet_images import holds_images, read_parquet
from infer.dataset.tar_samples import is_webdataset, read_samples
from infer.images.archive import COMPRESSED
from infer.images.listing import is_image, natural_key

KINDS = (
    Kind("MedMNIST npz", (".npz",), is_medmnist, read_npz, one_file=True),
    Kind("PatchCamelyon HDF5", (".h5", ".hdf5", ".h5.gz", ".hdf5.gz"), is_half_of_pair, read_hdf5, beside=read_with),
    Kind("Hugging Face Parquet", (".parquet",), holds_images, read_parquet, own_suffixes=False),
    Kind("WebDataset tar", (".tar", *COMPRESSED), is_webdataset, read_samples),
)
"""A new kind is a line here, and its reader."""
KIND_NAMES = ", ".join(f"{kind.title} ({kind.suffixes[0]})" for kind in KINDS)
"""For messages."""
TABLES = ("train.csv", "training.csv", "train_img.csv", "training_img.csv", "training_data")
"""A folder with one of these is read by it, whatever else is in it."""
INNER = ("data", "train", "training", "valid", "val", "validation", "dev", "test", "testing")
"""Folders in which such files are looked for too, directly below the folder that the user names."""


def find_packed(path: Path) -> Packed | None:
    """The data set whose images are inside the file, or the files of the folder, that the user named; None if none is.

    Raises:
        DataError: a folder holds several data sets.
    """
    if path.is_dir():
        return _find_in_folder(path)
    fitting = (kind for kind in KINDS if path.name.lower().endswith(kind.suffixes) and path.is_file())
    kind = next((kind for kind in fitting if kind.own_suffixes or kind.recognises(path)), None)
    return Packed(path, kind, (path,)) if kind else None


def unrecognised_files(folder: Path) -> list[str]:
    """Return the names of files directly in a folder that have the suffix of a kind and are not recognised as one."""
    names = [entry.name for entry in _entries(folder) if entry.is_file() and not entry.name.startswith(".")]
    return sorted(name for name in names if any(name.lower().endswith(kind.suffixes) for kind in KINDS))


def _find_in_folder(folder: Path) -> Packed | None:
    if any((folder / name).exists() for name in TABLES):
        return None
    found = [Packed(folder, kind, files) for kind in KINDS if (files := _files_of(kind, folder))]
    if not found:
        return None
    names = listed([str(file.relative_to(folder)) for packed in found for file in packed.files])
    if len(found) > 1 or (found[0].kind.one_file and len(found[0].files) > 1):
        raise DataError(f"{folder} holds several data sets: {names}; name one of them")
    if len(places := {file.parent for file in found[0].files}) > 1 and places & {folder, folder / "data"}:
        where = listed(sorted(str(place) for place in places))
        raise DataError(f"{folder} holds files of a data set in several folders: {where}; name one of them")
    if len(classes := _folders_of_images(folder)) > 1:
        raise DataError(
            f"{folder} holds {names}, and images in the folders {listed(classes)}; name the file, or move one of them"
        )
    packed = found[0]
    return replace(packed, path=packed.files[0]) if packed.kind.one_file else packed


def _files_of(kind: Kind, folder: Path) -> tuple[Path, ...]:
    """The files of a kind in a folder and those below it that usually hold some, in natural order."""
    files = [
        Path(entry.path)
        for place in (folder, *(folder / name for name in INNER))
        for entry in _entries(place)
        if entry.name.lower().endswith(kind.suffixes) and not entry.name.startswith(".") and entry.is_file()
    ]
    return tuple(sorted(filter(kind.recognises, files), key=lambda file: natural_key(file.as_posix())))


def _folders_of_images(folder: Path) -> list[str]:
    """The folders directly below this one that hold images, or folders with images."""
    found = []
    for entry in _entries(folder):
        if entry.is_dir() and not entry.name.startswith("."):
            inner = _entries(Path(entry.path))
            deeper = (file for item in inner if item.is_dir() for file in _entries(Path(item.path)))
            if any(is_image(file.name) for file in (*inner, *deeper)):
                found.append(entry.name)
    return sorted(found, key=natural_key)


def _entries(folder: Path) -> Sequence["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # not there, or not readable: whoever reads the folder will say so
        return ()
