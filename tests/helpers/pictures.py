"""The pictures of a report, as most tests draw them (the confusion matrix alone) and as users see them."""

from matplotlib.layout_engine import ConstrainedLayoutEngine

from infer.reports.pictures import PICTURES

ALL_PICTURES = PICTURES
ONE_PICTURE = PICTURES[:1]
LAY_OUT = ConstrainedLayoutEngine.execute
"""The layout of a picture, which takes half of the time of drawing it."""
