"""Data sets that hold their images inside files: what a reader of such a kind gives, and what the readers share."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infer.core.arrays import Pixels
from infer.core.errors import DataError
from infer.core.text import listed
from infer.dataset.labelled import SPLIT_VALUES
from infer.images.decode import MAX_PIXELS
from infer.images.formats import format_of
from infer.images.listing import is_image

LABEL, GROUP, SPLIT = "label", "group", "split"
"""The fields that a reader gives where its kind has one label, one group or one split an image."""
MAX_IMAGES = 100_000_000
"""Files that declare more are refused as hostile."""
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})")
"""The name of one of several files, without its suffix, as Hugging Face's libraries number them from 0."""


@dataclass(frozen=True)
class Item:
    """One image with what its data set says of it."""

    path: str
    """The name of the file to write, relative, with `/` between folders and an image's suffix."""
    content: Pixels | bytes
    """uint8 [h, w] or [h, w, 3]; or the content of an image file."""
    fields: Mapping[str, str]
    """Values by column; a value that is not known is left out or ""."""


@dataclass(frozen=True)
class Contents:
    """The images of a data set, read one after the other."""

    count: int
    """How many images the file declares, for a progress bar."""
    items: Iterator[Item]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns in which a blank cell is an unknown label, with the names of the classes that their values count from 0,
    () where the file does not tell them."""
    left_out: list[str] = field(default_factory=list)
    """What holds no image; complete once `items` is exhausted."""


@dataclass(frozen=True)
class Kind:
    """One kind of such files."""

    title: str
    suffixes: tuple[str, ...]
    """Suffixes of its files, in lower case; those of compressed files too, so that they are refused with the remedy."""
    recognises: Callable[[Path], bool]
    """Whether a file with such a suffix is of this kind; a look at its name and its first bytes. Raises no LabError."""
    read: Callable[["Packed"], Contents]
    """Raises DataError, MissingExtraError."""
    own_suffixes: bool = True
    """Whether a file that the user names is taken for this kind by its suffix, recognised or not."""
    one_file: bool = False
    """Whether each file is a data set of its own."""
    beside: Callable[[Path], Sequence[Path]] = lambda file: ()
    """The other files that are read with one."""


@dataclass(frozen=True)
class Packed:
    """A data set as files that hold its images."""

    path: Path
    """What the user named: a file, or a folder that holds such files."""
    kind: Kind
    files: tuple[Path, ...]
    """In natural order."""

    @property
    def name(self) -> str:
        """For people: the name of the file without its suffix, or that of the folder."""
        name = self.path.resolve().name
        suffix = next((suffix for suffix in self.kind.suffixes if name.lower().endswith(suffix)), "")
        return name if self.path.is_dir() or not suffix else name[: -len(suffix)]

    def inner_name(self, file: Path) -> str:
        """The path of one of the files below `path`, without its suffix and with `/`."""
        inner = file.relative_to(self.path) if self.path.is_dir() else Path(file.name)
        return inner.with_suffix("").as_posix()


def splits_of(packed: Packed) -> list[str | None]:
    """The split in each file's name, or in its folder's; None for all files if no name contains one.

    Raises:
        DataError: a name contains two splits, or only some names contain one.
    """
    splits = [_split_of(packed.inner_name(file).split("/"), file) for file in packed.files]
    if any(splits) and not all(splits):
        lost = [str(file) for file, split in zip(packed.files, splits, strict=True) if split is None]
        raise DataError(
            f"in {packed.path} the names of some files contain a split and those of others do not: {listed(lost)}; "
            "rename them to train-..., val-... or test-..., or take them out"
        )
    return splits


def _split_of(parts: Sequence[str], file: Path) -> str | None:
    for part in reversed(parts):
        words = re.split(r"[^a-z]+", part.lower())
        splits = [split for split, values in SPLIT_VALUES.items() if set(words) & set(values)]
        if len(splits) > 1:
            raise DataError(f"the name of {file} contains two splits, {listed(splits)}; rename it")
        if splits:
            return splits[0]
    return None


def require_complete(files: Sequence[Path]) -> None:
    """Raises DataError where files are numbered `-00000-of-00002` and one of them is not there."""
    series: dict[tuple[Path, str, int], set[int]] = defaultdict(set)
    for file in files:
        if match := SHARD.fullmatch(file.stem):
            series[file.parent, match[1], int(match[3])].add(int(match[2]))
    for (folder, name, total), numbers in series.items():
        if lost := [f"{name}-{number:05}-of-{total:05}" for number in range(total) if number not in numbers]:
            raise DataError(f"{len(lost)} of {total} files are not in {folder}: {listed(lost)}; download them again")


def require_picture(shape: Sequence[int], name: str, path: Path) -> None:
    """Raises DataError unless `shape` is that of grey [n, h, w] or colour images [n, h, w, 3] of a bearable size."""
    if len(shape) == 5 or (len(shape) == 4 and shape[3] > 4):
        voxels = " x ".join(map(str, shape[1:4]))
        raise DataError(
            f"{path}: {name} holds volumes of {voxels} voxels (3-D), and lab trains on flat images; take a 2-D set, "
            "such as OrganAMNIST for OrganMNIST3D, or save slices as images"
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise DataError(
            f"{path}: {name} has the shape {list(shape)}, and lab reads grey images [n, h, w] and colour images "
            "[n, h, w, 3]; save it so"
        )
    if min(shape[1:]) < 1 or shape[1] * shape[2] > MAX_PIXELS or not 0 <= shape[0] <= MAX_IMAGES:
        raise DataError(f"{path}: {name} declares the shape {list(shape)}, which no data set has; do not trust it")


def safe_path(name: str, fallback: str, content: bytes) -> str:
    """The name that an image has in its data set as a relative path that any disk can hold, or `fallback`.

    Both get the suffix of the content's format where they have none of an image.
    """
    parts = name.replace("\\", "/").split("/")
    plain = all(
        part == part.strip() and part.isprintable() and not part.startswith(".") and 0 < len(part.encode()) < 200
        for part in parts
    )
    path = fallback if not plain or re.search(r'[<>:"|?*]', name) else name.replace("\\", "/")
    return path if is_image(path) else path + image_suffix(content)


def image_suffix(content: bytes) -> str:
    """The suffix of an image's format by its first bytes; `.img` where they are no image's."""
    known = format_of(content)
    return known.suffixes[-1] if known else ".img"
