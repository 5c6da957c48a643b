"""Masks beside their pictures: `x_mask.png` beside `x.png`, `masks/x.png` beside `images/x.jpg`."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence

from infer.dataset.folder_names import IMAGE_WORDS, MASK_WORDS, words_of

MARK = re.compile(
    r"(?:[-_. ]?\(?(?:mask|segmentation|segmented|seg|gt|groundtruth|ground[-_ ]truth|annotation|annotated|contours?"
    r"|overlay|superpixels|binary|(?:1st|2nd)ho|manual\d?)s?\)?(?:[-_ ]?\d{1,2})?|-d)$",
    re.IGNORECASE,
)
"""What a mask's name has more than its picture's; `-d` as in the Herlev set of cervical cells."""


def find_masks(paths: Sequence[str]) -> list[str]:
    """Return the paths that are masks of other paths, by their names; in the order of `paths`."""
    stems: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        stems[folder].add(os.path.splitext(name)[0].lower())
    mask_folders = {folder for folder in stems if _is_mask_folder(folder, stems)}
    return [path for path in paths if path.rpartition("/")[0] in mask_folders or _is_mask(path, stems)]


def _is_mask(path: str, stems: dict[str, set[str]]) -> bool:
    folder, _, name = path.rpartition("/")
    stem = os.path.splitext(name)[0].lower()
    mark = MARK.search(stem)
    return bool(mark) and stem[: mark.start()] in stems[folder] if mark else False


def _is_mask_folder(folder: str, stems: dict[str, set[str]]) -> bool:
    """Whether a folder has a mask's name, and all its files those of pictures in a folder of originals beside it."""
    parent, _, name = folder.rpartition("/")
    words = words_of(name)
    if not words or not (set(words) <= MASK_WORDS or words[-1] in ("mask", "masks")):  # `lung masks`
        return False
    originals = [
        other
        for other in stems
        if other != folder
        and other.rpartition("/")[0] == parent
        and set(words_of(other.rpartition("/")[2])) <= IMAGE_WORDS
    ]
    pictures = set().union(*(stems[other] for other in originals))
    return bool(pictures) and all(stem in pictures or MARK.sub("", stem) in pictures for stem in stems[folder])
