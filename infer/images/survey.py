"""What the headers of a set of images say that their pixels alone do not: more pages than one, more bits than eight."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from infer.core.text import listed
from infer.images.archive import File
from infer.images.colour import bits_for, is_deep, read_samples
from infer.images.decode import MAX_PIXELS, open_fitting
from infer.images.dicom import GREY, frames, open_dicom, read_header
from infer.images.dicom_window import file_window
from infer.images.formats import FORMATS, pillow_suffixes
from infer.images.parallel_map import read_ahead
from infer.images.picture_file import open_header
from infer.images.pyramid import DIRECTORY, has_other_pages
from infer.images.window_option import FILE

MOST_LOCAL, MOST_OTHER = 10_000, 64
"""The most headers that are read: of files on disk; of members of archives and remote files, which are read whole."""
MOST_DEEP = 32
"""The most images that are decoded to see how large their values are."""
PAGED = ("TIFF", "PNG", "GIF", "WEBP")
"""Formats in which a file may hold several pictures of equal standing; a second one in a JPEG is a preview."""
ONE_PICTURE = tuple(item for item in FORMATS if item.pillow in ("JPEG", "BMP"))
"""Formats of 8 bits and one picture."""


@dataclass(frozen=True)
class Survey:
    """What was found in the headers of some images."""

    images: int
    """How many there are."""
    read: int
    """How many of them were looked at."""
    paged: Sequence[File] = ()
    """Those with more than one page or frame."""
    levels: Sequence[File] = ()
    """Those whose first page is too large, and which have smaller levels."""
    deep: Sequence[File] = ()
    """Those with more than 8 bits per channel."""
    windowless: Sequence[File] = ()
    """Grey DICOM files that do not say which values are black and white."""
    largest: int | None = None
    """The largest value in the deep ones that were decoded; None where none was."""

    def notes(self, bits: int, dicom_window: str = FILE) -> list[str]:
        """Lines for the user, where images are decoded with these values of a pixel spec."""
        return [
            *self._notes_on_pages(),
            *self._notes_on_levels(),
            *self._notes_on_windows(dicom_window),
            *self._notes_on_bits(bits),
        ]

    def _notes_on_pages(self) -> Iterable[str]:
        text = "more than one page or frame; the first is used"
        return self._named(self.paged, f"has {text}", f"have {text}")

    def _notes_on_levels(self) -> Iterable[str]:
        text = (
            f"of more than {MAX_PIXELS // 10**6} million pixels; the smallest level that leaves enough pixels for the "
            "resize is used"
        )
        return self._named(self.levels, f"is a pyramid {text}", f"are pyramids {text}")

    def _notes_on_windows(self, dicom_window: str) -> Iterable[str]:
        text = (
            "without a window; the whole range of their stored bits is used, which may be dark; lab train "
            "--dicom-window CENTRE/WIDTH sets one"
        )
        files = self.windowless if dicom_window == FILE else ()
        return self._named(files, f"is a DICOM file {text}", f"are DICOM files {text}")

    def _named(self, files: Sequence[File], one: str, several: str) -> Iterable[str]:
        """The line about these files, with the names of some; none where there are no such files."""
        if files:
            text = one if len(files) == 1 else several
            yield f"note: {len(files)} of {self._of} {text} ({listed([str(file) for file in files], 3)})"

    def _notes_on_bits(self, bits: int) -> Iterable[str]:
        if self.largest is None or (used := bits_for(self.largest)) == bits:
            return
        seen = f"note: {len(self.deep)} of {self._of} have more than 8 bits per channel; their largest value "
        seen += f"is {self.largest:,}, which takes {used} bits, and white is {2**bits - 1:,} ({bits} bits)"
        if used < bits:
            yield f"{seen}, so they are dark; train with --bits {used} or --bits auto if they hold {used} bits"
        else:
            yield f"{seen}, so larger values become white; the model was trained on {bits} bits"

    @property
    def _of(self) -> str:
        return f"{self.images} images" if self.read == self.images else f"{self.read} images that were looked at"


def survey(files: Sequence[File], complete: bool = False) -> Survey:
    """Read the headers of images, and decode some of those with more than 8 bits.

    Args:
        files: images; those that cannot be read are passed over.
        complete: all headers are read and all images of more than 8 bits decoded, instead of some, evenly spread.
    """
    on_disk = bool(files) and isinstance(files[0], str)
    candidates = files if on_disk else [file for file in files if not _is_plain(file)]
    looked = candidates if complete else _spread(candidates, MOST_LOCAL if on_disk else MOST_OTHER)
    headers = list(zip(looked, read_ahead(looked, _read_header), strict=True))
    known = [(file, header) for file, header in headers if isinstance(header, _Header)]
    paged = tuple(file for file, header in known if header.is_paged)
    levels = tuple(file for file, header in known if header.is_level)
    deep = tuple(file for file, header in known if header.is_deep)
    windowless = tuple(file for file, header in known if header.is_windowless)
    decoded = deep if complete else _spread(deep, MOST_DEEP)
    values = [value for value in read_ahead(decoded, _largest_value) if isinstance(value, int)]
    count = len(files) - len(candidates) + len(looked)
    return Survey(len(files), count, paged, levels, deep, windowless, max(values, default=None))


@dataclass(frozen=True)
class _Header:
    is_paged: bool
    is_level: bool = False
    is_deep: bool = False
    is_windowless: bool = False


def _is_plain(file: File) -> bool:
    """Whether a file is in ONE_PICTURE by its suffix."""
    return str(file).lower().endswith(tuple(suffix for item in ONE_PICTURE for suffix in item.suffixes))


def _begins_plain(file: str) -> bool:
    """Whether a file is in ONE_PICTURE by its first bytes."""
    with open(file, "rb", buffering=0) as content:
        return content.read(8).startswith(tuple(mark for item in ONE_PICTURE for mark in item.signatures))


def _spread(files: Sequence[File], most: int) -> Sequence[File]:
    """At most `most` of the files, evenly spread."""
    if len(files) <= most:
        return files
    return [files[index * len(files) // most] for index in range(most)]


def _read_header(file: File) -> _Header | None:
    """None where there is nothing to say, or where the file is not readable, which decoding will say."""
    try:
        if isinstance(file, str) and _begins_plain(file):
            return None
        if not str(file).lower().endswith(pillow_suffixes()) and (content := open_dicom(file)):
            return _dicom_header(content, str(file))
        with open_fitting(file, None, open_header) as image:
            is_level = DIRECTORY in image.info
            is_paged = not is_level and image.format in PAGED and has_other_pages(image)
            return _Header(is_paged, is_level, is_deep(image))
    except Exception:  # noqa: BLE001  # Pillow's plugins raise almost anything on a damaged file
        return None


def _dicom_header(content: BinaryIO, path: str) -> _Header:
    with content:
        header = read_header(content, path)
    is_grey = header.get("PhotometricInterpretation") in GREY
    return _Header(is_paged=frames(header) > 1, is_windowless=is_grey and file_window(header) is None)


def _largest_value(file: File) -> int | None:
    try:
        with open_fitting(file, None, open_header) as image:
            samples = read_samples(image, file)
            return int((samples if samples.ndim == 2 else samples[..., :3]).max())
    except Exception:  # noqa: BLE001  # as above
        return None
