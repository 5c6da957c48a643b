"""Which of the images a name in a table means."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from infer.images.listing import is_image


class NameMatcher:
    """Finds, among the inputs' names, the one that an id means: by relative path, then by name, then by stem."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` as in Inputs."""
        self._levels: list[dict[str, list[int]]] = [{}, {}, {}]
        for position, name in enumerate(names):
            for level, key in zip(self._levels, self._keys(name), strict=True):
                level.setdefault(key, []).append(position)

    def find(self, wanted: str) -> list[int]:
        """Positions of all inputs that fit at the first level where any does; more than one is ambiguous."""
        for level, key in zip(self._levels, self._keys(wanted), strict=True):
            if key in level:
                return level[key]
        return []

    @staticmethod
    def _keys(name: str) -> tuple[str, str, str]:
        path = PurePosixPath(name)
        return name, path.name, path.stem if is_image(path.name) else path.name
