import pytest

from infer.dataset.other_spellings import OtherSpellings, common_tail, is_absolute, with_slashes

PATHS = ["train/1.JPG", "train/2.jpg", "test/2.jpg", "test/3.jpg", "old/Train/4.png", "5.bmp", "a/x.png", "b/X.png"]
SPELLINGS = OtherSpellings(PATHS, "/home/me/cells")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("train/1.jpg", ["train/1.JPG"]),
        ("TRAIN/1", ["train/1.JPG"]),
        ("./train/../5.BMP", ["5.bmp"]),
        ("train/1.png", []),
        ("1.jpg", []),
    ],
)
def test_a_path_is_found_in_another_case(path: str, found: list[str]) -> None:
    assert SPELLINGS.by_case(path) == found


def test_a_path_is_found_in_another_unicode_form() -> None:
    spellings = OtherSpellings(["Gene\u0300ve/e\u0301.png", "e.png"], "/home")
    assert spellings.by_case("Gen\u00e8ve/\u00e9.png") == ["Gene\u0300ve/e\u0301.png"]
    assert spellings.by_name("\u00e9") == ["Gene\u0300ve/e\u0301.png"]
    assert spellings.by_tail("C:/data/gen\u00e8ve/\u00c9.png") == ["Gene\u0300ve/e\u0301.png"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1.jpg", ["train/1.JPG"]),
        ("3", ["test/3.jpg"]),
        ("2.JPG", ["train/2.jpg", "test/2.jpg"]),
        ("X.png", ["b/X.png"]),
        ("X", ["b/X.png"]),
        ("x.PNG", ["a/x.png", "b/X.png"]),
        ("6.jpg", []),
    ],
)
def test_a_file_name_is_found_anywhere_in_its_own_case_first(name: str, found: list[str]) -> None:
    assert SPELLINGS.by_name(name) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/kaggle/input/train/2.jpg", ["train/2.jpg"]),
        ("C:/Users/Anna/cells/train/1.jpg", ["train/1.JPG"]),
        ("/data/old/train/4.png", ["old/Train/4.png"]),
        ("/data/train/4.png", ["old/Train/4.png"]),
        ("/data/train/3.jpg", []),
        ("/data/cells/5.bmp", ["5.bmp"]),
        ("/data/cells/3.jpg", []),
        ("/data/all/3.jpg", ["test/3.jpg"]),
        ("/data/all/2.jpg", ["train/2.jpg", "test/2.jpg"]),
    ],
)
def test_an_absolute_path_means_the_file_in_the_folder_whose_path_ends_like_its_own(
    path: str, found: list[str]
) -> None:
    assert SPELLINGS.by_tail(path) == found


@pytest.mark.parametrize(
    ("path", "absolute"),
    [
        ("/a/b.png", True),
        ("C:\\a\\b.png", True),
        ("\\\\server\\share\\b.png", True),
        ("a\\b.png", False),
        ("C:b.png", False),
    ],
)
def test_absolute_paths_of_any_machine_are_recognised(path: str, absolute: bool) -> None:
    assert is_absolute(with_slashes(path)) is absolute


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [("a/b/c", "x/B/C", 2), ("a", "a", 1), ("a/b", "b", 1), ("a/b", "a/c", 0), ("", "a", 0)],
)
def test_the_last_names_that_paths_share_are_counted(first: str, second: str, length: int) -> None:
    assert common_tail(first, second) == length
