"""Images found by the names and ids of tables."""

import pytest

from infer.tables.image_names import NameMatcher


@pytest.mark.parametrize(
    ("identifier", "indices"),
    [
        ("x/a.jpg", [0]),
        ("a.jpg", [0, 1]),
        ("y/a.jpg", [1]),
        ("b.png", [2]),
        ("b", [2]),
        ("c.v1", [3]),
        ("other/b.png", [2]),
        ("d.v1.jpg", [4]),
        ("zzz", []),
    ],
)
def test_an_id_is_a_relative_path_or_else_a_file_name_or_else_a_stem(identifier: str, indices: list[int]) -> None:
    assert NameMatcher(["x/a.jpg", "y/a.jpg", "b.png", "deep/c.v1.png", "d.v1"]).find(identifier) == indices


def test_a_file_name_comes_before_a_stem() -> None:
    assert NameMatcher(["a.jpg", "a"]).find("a") == [1]
    assert NameMatcher(["x/a", "a.png"]).find("a") == [0]
