"""The windows that `--dicom-window` takes."""

import pytest

from infer.images.window_option import parse_window


@pytest.mark.parametrize(
    ("text", "window"),
    [("file", None), ("full", None), ("40/400", (40, 400)), ("-600.5/1500", (-600.5, 1500)), ("0/1", (0, 1))],
)
def test_a_window_is_a_rule_or_a_centre_and_a_width(text: str, window: tuple[float, float] | None) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize("text", ["", "40", "40/", "40/0.5", "40/-400", "nan/1", "1e9/4", "40/400 ", "File"])
def test_any_other_text_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"must be file, full or CENTRE/WIDTH .*, got {text!r}"):
        parse_window(text)
