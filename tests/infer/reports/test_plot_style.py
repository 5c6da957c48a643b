"""Pictures repeat byte for byte, and a name is shown as it is."""

import matplotlib
import pytest

from infer.reports.plot_style import LINES, LONGEST_NAME, new_figure, plain_style, plot_text, png_and_svg, short


def drawn(label: str) -> tuple[bytes, bytes]:
    with plain_style():
        figure = new_figure(2, 2)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label=label)
        axes.set_xlabel(label)
        return png_and_svg(figure)


def test_the_same_figure_is_the_same_bytes_whatever_the_users_own_settings_are() -> None:
    before = drawn("x")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "figure.facecolor": "black"}):
        assert drawn("x") == before
    assert before[0].startswith(b"\x89PNG")
    assert before[1].lstrip().startswith(b"<?xml")


def test_the_settings_are_as_before_afterwards() -> None:
    with matplotlib.rc_context({"lines.linewidth": 9}):
        drawn("x")
        assert matplotlib.rcParams["lines.linewidth"] == 9


@pytest.mark.parametrize("name", [r"a$b$c", r"\$x_{", "50 $", "<b>&amp;", "]]>", "正常 😀", "a\nb\x00", "x" * 200])
def test_a_name_is_neither_mathematics_nor_markup_and_is_cut(name: str) -> None:
    svg = drawn(plot_text(name))[1].decode()
    wanted = short(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert wanted in svg
    assert len(short(name)) <= LONGEST_NAME


def test_lines_differ_in_more_than_their_colour() -> None:
    assert len({str(dashes) for _, dashes, _ in LINES}) == len({marker for *_, marker in LINES}) == len(LINES)
    grey = {0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (matplotlib.colors.to_rgb(c) for c, *_ in LINES)}
    assert len({round(value, 1) for value in grey}) >= 4


def test_a_name_that_begins_with_an_underscore_is_in_the_legend() -> None:
    figure = new_figure(3, 3)
    axes = figure.subplots()
    axes.plot([0, 1], label=plot_text("_under"))
    assert [text.get_text().strip() for text in axes.legend().get_texts()] == ["_under"]
