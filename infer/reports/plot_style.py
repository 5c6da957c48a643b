"""What all pictures share: colours and strokes that stay apart in grey and for the colour-blind, names, file bytes."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infer.core.text import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES: tuple[tuple[str, Any, str], ...] = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#000000", (0, (6, 1, 1, 1, 1, 1)), "v"),
    ("#E69F00", (0, (3, 1)), "X"),
)
"""Colour, dashes and marker of the first, second, ... line: Okabe and Ito's colours (https://jfly.uni-koeln.de/color/).

Dashes and markers differ too, as two of the colours may be one grey."""
Drawn = tuple["Figure", str, str, str]
"""A figure, the name of its files, its title, and its content in words."""
HATCHES = ("", "////", "xx", "--")
"""What tells areas apart that colour does not."""
LONGEST_NAME = 24
"""Characters of a class's name in a picture; the tables have it in full."""


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """Draw as matplotlib does out of the box, whatever the user's own settings are, so that pictures repeat."""
    import matplotlib.style

    with warnings.catch_warnings(), matplotlib.style.context("default"):
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lab", "font.size": 10})
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box; the SVG has the letter
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # of a picture full of names
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches, which makes room for its labels. Draw within `plain_style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def short(text: str, longest: int = LONGEST_NAME) -> str:
    """A name as one line, cut where it is long."""
    safe = shown(text)
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def plot_text(text: str, longest: int = LONGEST_NAME) -> str:
    """The same as matplotlib is to show it: never read as mathematics, nor left out of a legend for its first mark."""
    told = short(text, longest).replace("$", r"\$")
    return f" {told}" if told.startswith("_") else told


def png(figure: "Figure") -> bytes:
    """A figure as PNG, the same bytes each time. Draw and save within `plain_style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    image = io.BytesIO()
    # savefig would draw twice
    FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return image.getvalue()


def png_and_svg(figure: "Figure") -> tuple[bytes, bytes]:
    """The same, and as SVG; the layout is made once for both."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    image, vector = png(figure), io.BytesIO()
    figure.set_layout_engine("none")  # it has done its part
    FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
        vector, metadata={"Date": None, "Creator": None}
    )
    return image, vector.getvalue()
