"""The pictures of a report, as most tests draw them (the confusion matrix alone) and as users see them."""

from infer.reports.pictures import PICTURES

ALL_PICTURES = PICTURES
ONE_PICTURE = PICTURES[:1]
