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


@pytest.mark.parametrize(
    ("identifier", "indices"),
    [
        ("B.PNG", [2]),
        ("X/A.JPG", [0]),
        ("C:\\pets\\y\\a.jpg", [1]),
        ("/kaggle/input/pets/x/a.jpg", [0]),
        ("/kaggle/input/a.jpg", [0, 1]),
        ("z/a.jpg", [0, 1]),
    ],
)
def test_an_id_may_be_in_another_case_or_a_path_of_another_machine(identifier: str, indices: list[int]) -> None:
    assert NameMatcher(["x/a.jpg", "y/a.jpg", "b.png"]).find(identifier) == indices


def test_an_id_may_be_in_another_unicode_form() -> None:
    for written, looked_for in (("Zu\u0308rich.png", "Z\u00fcrich"), ("Z\u00fcrich.png", "Zu\u0308rich.png")):
        assert NameMatcher(["Zurich.png", written]).find(looked_for) == [1]


def test_names_that_differ_only_in_case_are_told_apart_where_the_id_does() -> None:
    assert NameMatcher(["a.jpg", "A.jpg"]).find("A.jpg") == [1]
    assert NameMatcher(["a.jpg", "A.jpg"]).find("a.JPG") == [0]
