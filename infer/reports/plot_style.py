"""What all pictures share: colours and line styles that also differ in grey and to the colour-blind, names, files."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
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

Dashes and markers differ too, as two of the colours may look alike in grey."""
HATCHES = ("", "////", "xx", "--")
"""Hatching of the first, second, ... area, for readers who cannot tell the colours apart."""
LONGEST_NAME = 24
"""Characters of a class's name in a picture; the tables have it in full."""


@dataclass(frozen=True)
class Drawing:
    """A drawn figure with its title and its content in words."""

    figure: "Figure"
    title: str
    summary: str


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """Draw with matplotlib's own defaults, whatever the user's settings are, so that pictures are reproducible."""
    import matplotlib.style

    with warnings.catch_warnings(), matplotlib.style.context("default"):
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lab", "font.size": 10})
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box; the SVG has the letter
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # of a picture full of names
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches, with a layout that makes room for labels. Draw within `plain_style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def short(text: str, longest: int = LONGEST_NAME) -> str:
    """A name on one line, cut to `longest` characters."""
    safe = shown(text)
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def plot_text(text: str, longest: int = LONGEST_NAME) -> str:
    """`short`, escaped for matplotlib: never read as mathematics, nor left out of a legend for a leading underscore."""
    escaped = short(text, longest).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def png(figure: "Figure") -> bytes:
    """A figure as PNG, with the same bytes each time. Draw and save within `plain_style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    image = io.BytesIO()
    # savefig would draw twice
    FigureCanvasAgg(figure).print_png(image, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return image.getvalue()


def png_and_svg(figure: "Figure") -> tuple[bytes, bytes]:
    """A figure as PNG and as SVG, with one layout for both."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    image, vector = png(figure), io.BytesIO()
    figure.set_layout_engine("none")  # the PNG has made the layout
    FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
        vector, metadata={"Date": None, "Creator": None}
    )
    return image, vector.getvalue()
