"""WebDataset's tar files: the members of one base name are one sample, `0001.jpg` with `0001.cls` or `0001.json`.

Source: github.com/webdataset/webdataset; the base name ends at the first dot.
"""

import tarfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

from infer.core.errors import DataError
from infer.core.parse import parse_json
from infer.core.text import listed
from infer.dataset.known_headers import LABEL_NAMES
from infer.dataset.label_file import cell_text
from infer.dataset.packed import LABEL, SPLIT, Contents, Item, Packed, safe_path, splits_of
from infer.images.archive import COMPRESSED, Member, is_hidden, list_files
from infer.images.listing import is_image

CLASS, JSON = "cls", "json"
FIRST = 64
"""Members looked at to recognise a file."""
MAX_TEXT = 1 << 20
"""Bytes of a .cls or .json member; a larger one is no label."""

Samples = Mapping[str, Mapping[str, Member]]
"""By base name, members by the rest of their names, in lower case."""


def is_webdataset(path: Path) -> bool:
    """Whether the first members of a tar file are images beside .cls or .json members of the same base name."""
    if path.name.lower().endswith(COMPRESSED):
        return False
    try:
        with tarfile.open(path, "r:") as archive:
            names = [member.name for member in islice(archive, FIRST)]
    except (OSError, tarfile.TarError, EOFError):
        return False
    images = {_stem_of(name)[0] for name in names if is_image(name)}
    return any(suffix in (CLASS, JSON) and stem in images for stem, suffix in map(_stem_of, names))


def read_samples(packed: Packed) -> Contents:
    """The images of all files; the class of `.cls` is the label, and every number or text of `.json` is a field.

    Raises:
        DataError: a file is damaged, compressed, names members outside itself, or has two images of one base name.
    """
    splits = splits_of(packed)
    count, labelled = 0, False
    for path in packed.files:
        samples = _samples(path)
        count += len(samples)
        labelled = labelled or any(CLASS in parts or JSON in parts for parts in samples.values())
    if not labelled:
        raise DataError(
            f"{packed.path} has no labels beside its images, such as 0001.cls or 0001.json for 0001.jpg; unpack it and "
            "name the folder"
        )
    left_out: list[str] = []
    items = (
        item
        for path, split in zip(packed.files, splits, strict=True)
        for item in _items(path, packed.inner_name(path), split, left_out)
    )
    return Contents(count=count, items=items, class_names={LABEL: ()}, left_out=left_out)


def _samples(path: Path) -> Samples:
    samples: dict[str, dict[str, Member]] = {}
    for member in list_files(path):
        if not is_hidden(member.name):
            stem, suffix = _stem_of(member.name)
            parts = samples.setdefault(stem, {})
            if suffix in parts:
                raise DataError(f"{path} has two members of one name: {member.name}; make it again")
            parts[suffix] = member
    return samples


def _stem_of(member: str) -> tuple[str, str]:
    """The base name of a member, with its folder, and what follows the first dot: `a/1.seg.png` to `a/1`, `seg.png`."""
    path = PurePosixPath(member)
    stem, _, suffix = path.name.partition(".")
    return str(path.with_name(stem)) if stem else str(path), suffix.lower()


def _items(path: Path, folder: str, split: str | None, left_out: list[str]) -> Iterator[Item]:
    for row, (stem, parts) in enumerate(_samples(path).items()):
        images = [member for suffix, member in parts.items() if is_image(f".{suffix}")]
        plain = [member for suffix, member in parts.items() if is_image(f".{suffix}") and "." not in suffix]
        if not images:
            left_out.append(f"{path.name}/{stem}")
            continue
        if len(plain or images) != 1:
            names = listed([member.name for member in plain or images])
            raise DataError(f"{path}: the sample {stem} has several images, {names}; keep one of them")
        image = (plain or images)[0]
        content = _content(image)
        fields = _json_fields(parts[JSON]) if JSON in parts else {}
        if CLASS in parts:
            fields[LABEL] = _text(parts[CLASS]).strip()
        yield Item(
            f"{folder}/{safe_path(image.name, str(row), content)}", content, fields | ({SPLIT: split} if split else {})
        )


def _json_fields(member: Member) -> dict[str, str]:
    """The numbers and texts of a JSON object. Raises DataError where it is none, or has several labels."""
    try:
        record = parse_json(_text(member))
    except ValueError as error:
        raise DataError(f"{member} is not JSON: {error}; write it again") from error
    if not isinstance(record, dict):
        return {LABEL: cell_text(record)} if isinstance(record, int | str) else {}
    if several := [key for key, value in record.items() if key.lower() in LABEL_NAMES and isinstance(value, list)]:
        raise DataError(
            f"{member}: {several[0]} holds a list of labels, and lab trains on one label an image; write one"
        )
    return {key: cell_text(value) for key, value in record.items() if isinstance(value, int | float | str)}


def _text(member: Member) -> str:
    if member.size > MAX_TEXT:
        raise DataError(f"{member} has {member.size} bytes, more than a label has; take it out")
    return _content(member).decode("utf-8", "replace")


def _content(member: Member) -> bytes:
    try:
        content = member.open().read()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {member}: {error}; make the file again") from error
    if len(content) != member.size:
        raise DataError(f"{member.archive} is damaged: it ends in the middle of {member.name}; download it again")
    return content
