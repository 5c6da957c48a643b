import pytest

from infer.core.text import counted, duration, left_out, listed, shortened, shown, size_text

MB = 10**6


def test_control_characters_and_undecodable_bytes_stay_on_one_visible_line() -> None:
    assert shown("a\nb\x1b[31m\udcff.jpg") == r"a\nb\x1b[31m\udcff.jpg"


@pytest.mark.parametrize(
    ("names", "limit", "text"),
    [
        ([], 5, ""),
        (["a"], 5, "a"),
        (["a", "b", "c"], 3, "a, b, c"),
        (["a", "b", "c"], 2, "a, b and 1 more"),
        (list("abcdefghijkl"), 5, "a, b, c, d, e and 7 more"),
    ],
)
def test_a_list_of_names_stops_at_its_limit_and_counts_the_rest(names: list[str], limit: int, text: str) -> None:
    assert listed(names, limit) == text


def test_a_long_text_keeps_its_start_and_its_end_and_counts_what_is_left_out() -> None:
    assert shortened("a" * 100, 100) == "a" * 100
    assert shortened("a" * 60 + "b" * 1000 + "c" * 60, 100) == f"{'a' * 50} ... 1,020 more characters ... {'c' * 50}"


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_are_in_whole_kilobytes_or_megabytes_or_in_gigabytes() -> None:
    sizes = [0, 1, 2001, MB, 410 * MB, 1540 * MB, 50_000 * MB]
    assert [size_text(size) for size in sizes] == ["0 kB", "1 kB", "3 kB", "1 MB", "410 MB", "1.5 GB", "50 GB"]


def test_one_is_counted_in_the_singular() -> None:
    assert [counted(count, "epoch") for count in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    assert left_out(1) == "1 image cannot be read and is left out"
    assert left_out(3) == "3 images cannot be read and are left out"
