"""Images found by paths that are written in another way: in another case, with backslashes, or on another machine."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from infer.images.listing import is_image

WINDOWS_ROOT = re.compile(r"(?:[A-Za-z]:)?/")


def with_slashes(name: str) -> str:
    """Return a path with `/` between folders, whatever machine wrote it."""
    return name.replace("\\", "/")


def is_absolute(name: str) -> bool:
    """Whether a path, with `/` between folders, is absolute on any machine: `/data/a.png`, `C:/data/a.png`."""
    return WINDOWS_ROOT.match(name) is not None


def folded(name: str) -> str:
    """Return a name without upper and lower case, in one Unicode form: macOS writes `u` and two dots for `ü`."""
    return unicodedata.normalize("NFC", name).casefold()


class OtherSpellings:
    """Paths of images, indexed so that another spelling of one finds it; a path without suffix fits any suffix."""

    def __init__(self, paths: Sequence[str], base: str) -> None:
        """Index paths that are relative to the folder `base`."""
        self._files: dict[str, list[str]] = defaultdict(list)
        self._names: dict[str, list[str]] = defaultdict(list)
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._closest: dict[str, list[str]] = {}
        self._base = with_slashes(base).strip("/")
        for path in paths:
            folder = os.path.dirname(path)
            self._folders[folded(self._full(folder).rpartition("/")[2])].add(folder)
            for key in (path, os.path.splitext(path)[0]):
                self._files[folded(key)].append(path)
                self._names[folded(os.path.basename(key))].append(path)

    def by_case(self, path: str) -> list[str]:
        """Return the paths that differ from a relative one only in upper and lower case, or in their Unicode form."""
        return _with_suffix(self._files.get(folded(os.path.normpath(path)), []), path)

    def by_name(self, name: str) -> list[str]:
        """Return the paths of images of this file name, in any case; those in just this case where there are any."""
        paths = _with_suffix(self._names.get(folded(name), []), name)
        exact = [path for path in paths if os.path.basename(path) in (name, f"{name}{os.path.splitext(path)[1]}")]
        return exact or paths

    def by_tail(self, path: str) -> list[str]:
        """Return the images that an absolute path of another machine means.

        They lie in the folder below `base` whose path ends like that of their folder, as far as any does; where no
        folder has even the same last name, anywhere. A file that is missing from its folder is not taken from another.
        """
        folder, _, name = path.rpartition("/")
        if folder not in self._closest:
            self._closest[folder] = self._closest_folders(folder)
        if not self._closest[folder]:
            return self.by_name(name)
        return [found for below in self._closest[folder] for found in self.by_case(f"{below}/{name}".lstrip("/"))]

    def _closest_folders(self, folder: str) -> list[str]:
        """Return the folders whose paths have the most last names in common with this one."""
        candidates = self._folders.get(folded(folder.rpartition("/")[2]), set())
        lengths = {below: common_tail(folder, self._full(below)) for below in candidates}
        return sorted(below for below, length in lengths.items() if length == max(lengths.values()))

    def _full(self, folder: str) -> str:
        return f"{self._base}/{folder}".rstrip("/")


def common_tail(first: str, second: str) -> int:
    """Return the number of last names that two paths have in common, in any case."""
    length = 0
    for ours, theirs in zip(reversed(folded(first).split("/")), reversed(folded(second).split("/")), strict=False):
        if ours != theirs:
            break
        length += 1
    return length


def _with_suffix(paths: Sequence[str], name: str) -> list[str]:
    """Return the paths with the suffix that a name has, in any case; all of them where it has none."""
    if not is_image(name):
        return list(paths)
    suffix = os.path.splitext(name)[1].lower()
    return [path for path in paths if os.path.splitext(path)[1].lower() == suffix]
