"""Opens a smaller level of a pyramidal TIFF: one whose first page has more pixels than are decoded.

Levels are further pages, as in Aperio's SVS, or sub-directories of the first page, as in OME-TIFF.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from infer.images.archive import File
from infer.images.picture_file import open_picture, orientation

SUBFILE, TILE_WIDTH, SUB_DIRECTORIES = 254, 322, 330
"""TIFF tags: what a page is for, which tiled pages have, and the offsets of a page's sub-directories."""
REDUCED = 1
"""The bit of SUBFILE that pages of a lower resolution have (TIFF 6.0, NewSubfileType)."""
MOST_DIRECTORIES = 64
"""Pages and sub-directories that are looked at; pyramids have about ten levels."""
DIRECTORY = "tiff directory"
"""The key in an image's `info` for the offset of its level."""

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class _Directory:
    offset: int
    size: Size
    is_marked: bool
    """Whether the file says that it is of a lower resolution: by SUBFILE, or as a sub-directory of the first page."""
    is_tiled: bool

    def is_level_of(self, first: "_Directory") -> bool:
        """Whether it is smaller by the same factor in both directions, but for one pixel of rounding in each."""
        (width, height), (whole_width, whole_height) = self.size, first.size
        alike = abs(width * whole_height - height * whole_width) <= whole_width + whole_height
        return alike and width < whole_width and (self.is_marked or (self.is_tiled and first.is_tiled))


def open_level(
    file: File | bytes, fits: Callable[[int, int], bool], needed: Callable[[Size], Size] | None
) -> Image.Image | None:
    """Open the level of a pyramidal TIFF that is to be decoded instead of its first page.

    Args:
        file: any; its first page is not decoded.
        fits: whether a level of this width and height may be decoded.
        needed: from the first page's size to that which must remain: the smallest level that has it is opened. None:
            the largest one that fits.

    Returns:
        None where the file is no TIFF, turned by its orientation, or has no such level.
    """
    try:
        image = _open_unchecked(file)
    except SyntaxError:  # how Pillow's plugins refuse a file of another format
        return None
    first, *others = _directories(image)
    least = needed(first.size) if needed else (1, 1)
    levels = [item for item in others if item.is_level_of(first) and fits(*item.size)]
    levels = [item for item in levels if item.size[0] >= least[0] and item.size[1] >= least[1]]
    if not levels or orientation(image) != 1:
        image.close()
        return None
    choose = min if needed else max
    return _at(image, choose(levels, key=lambda item: item.size).offset)


def reopen(image: Image.Image, file: File | bytes) -> Image.Image:
    """Open `file` once more, at the page or level at which `image` is open."""
    if DIRECTORY in image.info:
        return _at(_open_unchecked(file), image.info[DIRECTORY])
    again = open_picture(file)
    again.seek(image.tell())
    return again


def has_other_pages(image: Image.Image) -> bool:
    """Whether an open image has pages or frames besides the first and, in a TIFF, the levels of the first."""
    if not getattr(image, "is_animated", False):
        return False
    if not isinstance(image, TiffImageFile):
        return True
    first, *others = _directories(image)
    return any(not item.is_level_of(first) for item in others)


def _open_unchecked(file: File | bytes) -> TiffImageFile:
    """Open a TIFF of any size; only its tags are read."""
    if isinstance(file, bytes):
        return TiffImageFile(io.BytesIO(file))
    return TiffImageFile(file if isinstance(file, str) else file.open())


def _at(image: TiffImageFile, offset: int) -> TiffImageFile:
    """The image with the directory at `offset` as its first page, as Pillow's own `get_child_images` opens one."""
    image._frame_pos[0] = offset
    image._seek(0)
    image.info[DIRECTORY] = offset
    return image


def _directories(image: TiffImageFile) -> list[_Directory]:
    """The pages of a TIFF, the first one first, and the sub-directories of the first; then it is at the first again."""
    first_offset = image._frame_pos[0]
    pages = list(_pages(image))
    image._seek(0)
    tags = image.tag_v2.get(SUB_DIRECTORIES, ())
    offsets = (tags if isinstance(tags, tuple) else (tags,))[:MOST_DIRECTORIES]
    below = [replace(_directory(_at(image, offset), offset), is_marked=True) for offset in offsets]
    _at(image, first_offset)
    del image.info[DIRECTORY]
    return pages + below


def _pages(image: TiffImageFile) -> Iterator[_Directory]:
    for page in range(MOST_DIRECTORIES):
        try:
            image._seek(page)  # `seek` refuses pages that are too large
        except EOFError:
            return
        yield _directory(image, image._frame_pos[page])


def _directory(image: TiffImageFile, offset: int) -> _Directory:
    subfile = image.tag_v2.get(SUBFILE, 0)
    return _Directory(offset, image.size, bool(subfile & REDUCED), TILE_WIDTH in image.tag_v2)
