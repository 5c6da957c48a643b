"""Images found by the names and ids that tables give them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from infer.images.listing import is_image


class NameMatcher:
    """Finds the image that an id names: by its relative path, then by its file name, then by its stem."""

    def __init__(self, names: Sequence[str]) -> None:
        """Index the images' relative paths."""
        self._levels: list[dict[str, list[int]]] = [{}, {}, {}]
        for index, name in enumerate(names):
            for level, key in zip(self._levels, self._keys(name), strict=True):
                level.setdefault(key, []).append(index)

    def find(self, identifier: str) -> list[int]:
        """The indices of all images that match in the first way in which any does; more than one is ambiguous."""
        for level, key in zip(self._levels, self._keys(identifier), strict=True):
            if key in level:
                return level[key]
        return []

    @staticmethod
    def _keys(name: str) -> tuple[str, str, str]:
        path = PurePosixPath(name.replace("\\", "/"))
        return str(path), path.name, path.stem if is_image(path.name) else path.name
