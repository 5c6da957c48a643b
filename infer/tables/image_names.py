"""Images found by the names and ids that tables give them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from infer.dataset.other_spellings import common_tail, folded
from infer.images.listing import is_image


class NameMatcher:
    """Finds the image that an id names: by its relative path, then by its file name, then by its stem."""

    def __init__(self, names: Sequence[str]) -> None:
        """Index the images' relative paths."""
        self._names = names
        self._folded: list[dict[str, list[int]]] | None = None  # made when an id matches nothing as it is written
        self._levels: list[dict[str, list[int]]] = [{}, {}, {}]
        for index, name in enumerate(names):
            for level, key in zip(self._levels, self._keys(name), strict=True):
                level.setdefault(key, []).append(index)

    def find(self, identifier: str) -> list[int]:
        """The indices of all images that match in the first way in which any does; more than one is ambiguous.

        Upper and lower case and the Unicode form count, unless nothing matches otherwise. Of several images of one file
        name, those are meant whose paths have the most last folders in common with the identifier.
        """
        keys = self._keys(identifier)
        for level, key in zip(self._levels, keys, strict=True):
            if key in level:
                return self._closest(keys[0], level[key])
        if self._folded is None:
            self._folded = [_fold(level) for level in self._levels]
        for level, key in zip(self._folded, keys, strict=True):
            if folded(key) in level:
                return self._closest(keys[0], level[folded(key)])
        return []

    def _closest(self, identifier: str, indices: list[int]) -> list[int]:
        folder = identifier.rpartition("/")[0]
        if len(indices) == 1 or not folder:
            return indices
        lengths = [common_tail(folder, self._names[index].rpartition("/")[0]) for index in indices]
        return [index for index, length in zip(indices, lengths, strict=True) if length == max(lengths)]

    @staticmethod
    def _keys(name: str) -> tuple[str, str, str]:
        path = PurePosixPath(name.replace("\\", "/"))
        return str(path), path.name, path.stem if is_image(path.name) else path.name


def _fold(level: dict[str, list[int]]) -> dict[str, list[int]]:
    """The same indices by keys without upper and lower case, in one Unicode form."""
    without_case: dict[str, list[int]] = {}
    for key, indices in level.items():
        without_case.setdefault(folded(key), []).extend(indices)
    return without_case
