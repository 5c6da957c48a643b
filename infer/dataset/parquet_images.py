"""Hugging Face's Parquet files with embedded images: a column of structs {bytes, path}, and columns of labels.

Source: huggingface.co/docs/datasets, Image and ClassLabel features; the schema's metadata `huggingface` holds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infer.core.errors import DataError, MissingExtraError
from infer.core.parse import parse_json
from infer.core.text import listed
from infer.dataset.known_headers import LABEL_NAMES
from infer.dataset.label_file import cell_text
from infer.dataset.packed import SHARD, SPLIT, Contents, Item, Packed, require_complete, safe_path, splits_of
from infer.images.archive import MAX_MEMBER

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

IMAGE_NAMES = ("image", "img")
"""Names of the column to read where several hold images."""
ROWS = 16
"""Read at once."""


def holds_images(path: Path) -> bool:
    """Whether a Parquet file has embedded images; without pyarrow, whether it is named as one of a series."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        return SHARD.fullmatch(path.stem) is not None
    try:
        return bool(_image_columns(pyarrow.parquet.read_schema(path)))
    except (OSError, pyarrow.ArrowException):
        return False


def read_parquet(packed: Packed) -> Contents:
    """The images of all files, with every column of numbers or text as a field.

    Raises:
        DataError: a file is damaged or missing, the files differ in their columns, or hold several labels an image.
        MissingExtraError: pyarrow is not installed.
    """
    if packed.path.is_dir():
        require_complete(packed.files)
    splits = splits_of(packed)
    schemas, count = [], 0
    for path in packed.files:
        with _opened(path) as file:
            schemas.append(file.schema_arrow)
            count += file.metadata.num_rows
    first = schemas[0]
    for path, schema in zip(packed.files, schemas, strict=True):
        if not schema.equals(first) or _features(schema) != _features(first):
            raise DataError(
                f"{path} has other columns than {packed.files[0]}, so they are not one data set; name one of them, or "
                "put them into folders of their own"
            )
    image, columns = _columns(first, packed.path)
    names = {name: _class_names(feature) for name, feature in _features(first).items() if name in columns}
    class_names = {name: value for name, value in names.items() if value}
    items = (
        item
        for path, split in zip(packed.files, splits, strict=True)
        for item in _items(path, packed.inner_name(path), split, image, columns, class_names)
    )
    return Contents(count=count, items=items, class_names=class_names)


def _columns(schema: "pyarrow.Schema", path: Path) -> tuple[str, list[str]]:
    """The column of images, and those of numbers or text. Raises DataError."""
    import pyarrow.types as types

    images = _image_columns(schema)
    named = [name for name in images if name.lower() in IMAGE_NAMES]
    if len(named or images) != 1:
        raise DataError(
            f"{path} has {len(images)} columns of embedded images ({listed(images) or 'none'}), and lab reads one, "
            "image; rename it, or write a Parquet file with one"
        )
    scalars = [
        field.name
        for field in schema
        if types.is_integer(field.type)
        or types.is_floating(field.type)
        or types.is_boolean(field.type)
        or types.is_string(field.type)
        or types.is_large_string(field.type)
        or types.is_dictionary(field.type)
    ]
    several = [field.name for field in schema if types.is_nested(field.type) and field.name.lower() in LABEL_NAMES]
    if several and not {name.lower() for name in scalars} & set(LABEL_NAMES):
        raise DataError(
            f"{path}: {several[0]} holds a list of labels an image, and lab trains on one label an image; write a "
            "column with one, such as 1 or 0 for one finding"
        )
    return (named or images)[0], scalars


def _image_columns(schema: "pyarrow.Schema") -> list[str]:
    import pyarrow.types as types

    structs = [field for field in schema if types.is_struct(field.type)]
    return [
        field.name
        for field in structs
        if {"bytes", "path"} <= {child.name for child in field.type}
        and (types.is_binary(field.type.field("bytes").type) or types.is_large_binary(field.type.field("bytes").type))
    ]


def _features(schema: "pyarrow.Schema") -> Mapping[str, Any]:
    """The features that Hugging Face's libraries wrote into the schema, {} where there are none."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any) -> Sequence[str]:
    """The names of a ClassLabel, () where the feature is none."""
    is_label = isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    names = feature.get("names") if is_label else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _items(
    path: Path, folder: str, split: str | None, image: str, columns: list[str], class_names: Mapping[str, Sequence[str]]
) -> Iterator[Item]:
    with _opened(path) as file:
        digits, row = len(str(max(file.metadata.num_rows - 1, 0))), 0
        for batch in file.iter_batches(ROWS, columns=[image, *columns]):
            for record in batch.to_pylist():
                content, name = (record[image] or {}).get("bytes"), (record[image] or {}).get("path")
                if not content or len(content) > MAX_MEMBER:
                    what = f"an image of {len(content)} bytes" if content else f"no embedded image, only {name!r}"
                    raise DataError(f"{path}, row {row + 1}: has {what}; write the file again with all images in it")
                fields = {column: cell_text(record[column]) for column in columns}
                for column in class_names:
                    fields[column] = "" if fields[column] == "-1" else fields[column]  # not known, as on test images
                inner = safe_path(name or "", f"{row:0{digits}}", content)
                yield Item(f"{folder}/{inner}", content, fields | ({SPLIT: split} if split else {}))
                row += 1


@contextmanager
def _opened(path: Path) -> "Iterator[pyarrow.parquet.ParquetFile]":
    """The file, read as a stream so that memory does not grow with it; errors of reading it become a DataError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path} needs pyarrow, which is not installed; run pip install '.[parquet]' in lab's folder"
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        what = str(error).partition("\n")[0]
        raise DataError(f"{path} is not a Parquet file, or is damaged: {what}; download it again") from error
