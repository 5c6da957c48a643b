"""Small files of each kind that holds images, as their owners ship them."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.dataset.columns import ColumnNames
from infer.dataset.packed_kinds import find_packed
from infer.dataset.packed_table import read_packed
from infer.dataset.table import Table


def pictures(count: int, *shape: int, seed: int = 0) -> Pixels:
    """Random pixels, uint8 [count, *shape]."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def save_npz(path: Path, shape: Sequence[int] = (28, 28), counts: Sequence[int] = (6, 3, 2), classes: int = 2) -> Any:
    """MedMNIST's arrays; label i of a split is i modulo the number of classes. Returns the arrays by name."""
    arrays: dict[str, NDArray[Any]] = {}
    for seed, (split, count) in enumerate(zip(("train", "val", "test"), counts, strict=True)):
        arrays[f"{split}_images"] = pictures(count, *shape, seed=seed)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % classes)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return arrays


def save_pair(folder: Path, split: str, count: int, chunks: tuple[int, ...] | None = None) -> Pixels:
    """PatchCamelyon's pair of a split; label i is i modulo 2. Returns the images."""
    pixels = pictures(count, 96, 96, 3, seed=count)
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"camelyonpatch_level_2_split_{split}_x.h5", "w") as file:
        file.create_dataset("x", data=pixels, chunks=chunks, compression="gzip" if chunks else None)
    with h5py.File(folder / f"camelyonpatch_level_2_split_{split}_y.h5", "w") as file:
        file.create_dataset("y", data=(np.arange(count, dtype=np.uint8) % 2).reshape(-1, 1, 1, 1))
    return pixels


def encoded(pixels: Pixels, kind: str) -> bytes:
    """The content of an image file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def save_parquet(
    path: Path, images: Sequence[Mapping[str, Any]], features: Mapping[str, Any] | None = None, **columns: Sequence[Any]
) -> None:
    """A Parquet file with images as structs {bytes, path}, as Hugging Face's libraries write it."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {"image": pa.array(images, struct), **{name: pa.array(column) for name, column in columns.items()}}
    )
    if features:
        named = {"image": {"_type": "Image"}, **features}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": named}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def save_tar(path: Path, members: Mapping[str, bytes]) -> None:
    """A tar file with these members, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def read(path: Path, screen: Screen | None = None, **columns: str) -> Table:
    """The table of a file or folder that holds its images."""
    packed = find_packed(path)
    assert packed is not None
    return read_packed(packed, ColumnNames(**columns), screen or Screen(Console(quiet=True)))


def labels_of(table: Table) -> list[str]:
    """The label of each row, "" where it is not known."""
    return ["" if label < 0 else table.classes[label].label for label in table.labels]


def pixels_of(table: Table) -> list[Pixels]:
    """The pixels of each image, as Pillow decodes its file."""
    return [np.asarray(Image.open(file)) for file in table.files()]
