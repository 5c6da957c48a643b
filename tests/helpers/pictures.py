"""The pictures of reports and curves: as most tests have them, which do not look at them, and as users see them."""

import io
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

import infer.reports.pictures
from infer.reports.pictures import PICTURES

Drawing = tuple[tuple[object, str, Any], ...]
"""What a test's pictures are made with: an object, its attribute's name, and the value."""


def _blank_png(canvas: FigureCanvasAgg, file: io.BytesIO, **options: object) -> None:
    Image.new("L", (1, 1), 255).save(file, "PNG")


def _blank_svg(canvas: FigureCanvasSVG, file: io.BytesIO, **options: object) -> None:
    file.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')


ALL_PICTURES = PICTURES
LAID_OUT: Drawing = (
    (FigureCanvasAgg, "print_png", FigureCanvasAgg.print_png),
    (FigureCanvasSVG, "print_svg", FigureCanvasSVG.print_svg),
    (ConstrainedLayoutEngine, "execute", ConstrainedLayoutEngine.execute),
)
"""Pictures as users see them, of those that a report draws."""
ALL: Drawing = (*LAID_OUT, (infer.reports.pictures, "PICTURES", ALL_PICTURES))
"""Every picture of a report, as users see it."""
BLANK: Drawing = (
    (FigureCanvasAgg, "print_png", _blank_png),
    (FigureCanvasSVG, "print_svg", _blank_svg),
    (ConstrainedLayoutEngine, "execute", lambda *_: None),
    (infer.reports.pictures, "PICTURES", PICTURES[:1]),
)
"""The confusion matrix of each report alone, blank: a hundred tests make reports."""


def use(patch: pytest.MonkeyPatch, drawing: Drawing) -> None:
    """Make pictures in this way until the patch ends."""
    for owner, name, value in drawing:
        patch.setattr(owner, name, value)
