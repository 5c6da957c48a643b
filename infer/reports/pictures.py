"""The pictures of a report, one row each: readable in grey and by the colour-blind, as PNG and SVG.

To add one, see the recipe in CONTRIBUTING.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

from infer.core.errors import LabError
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult
from infer.model.runs import HISTORY
from infer.reports.curves import precision_recall_figure, roc_figure
from infer.reports.figures import balance_figure, confusion_figure, reliability_figure, scores_figure
from infer.reports.plot_style import Drawing, plain_style, png_and_svg
from infer.reports.provenance import Origin, set_counts
from infer.reports.training_history import curves_figure, read_run

MOST_BESIDE = 10
"""With more classes, the confusion matrix takes the page's whole width and the class balance its full height."""


@dataclass(frozen=True)
class Subject:
    """What pictures are drawn from."""

    result: EvaluationResult
    metrics: Metrics
    normalize: str
    """For the confusion matrix: "true", "pred", "all" or "none"."""
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class PictureKind:
    """A picture that a report may have."""

    name: str
    """The name of its files, without the suffix."""
    draw: Callable[[Subject], Drawing | None]
    """Draw it; None where the images do not allow it."""
    reading: str
    """How to read it, shown below it on the page."""
    layout: Callable[[int], str] = lambda classes: ""
    """Its place on the page, by the number of classes: "broad", "tall", or "" for half of the width."""


@dataclass(frozen=True)
class Picture:
    """One picture of a report."""

    name: str
    """The name of its files, without the suffix."""
    title: str
    summary: str
    """What it shows, with its numbers, for readers who cannot see it."""
    reading: str
    layout: str
    png: bytes
    svg: bytes


def draw_pictures(result: EvaluationResult, metrics: Metrics, normalize: str, origin: Origin) -> list[Picture]:
    """All pictures that the images allow: no ROC curve, for example, where all are of one class.

    Args:
        result: n predictions for K classes.
        metrics: of the result.
        normalize: "true", "pred", "all" or "none": what the shares in the confusion matrix are of, and whether its
            colours show shares or ("none") numbers of images.
        origin: which images the network was trained on, and how its training went.
    """
    subject, pictures = Subject(result, metrics, normalize, origin), []
    with plain_style():
        for kind in PICTURES:
            if drawing := kind.draw(subject):
                layout, files = kind.layout(len(result.classes)), png_and_svg(drawing.figure)
                pictures.append(Picture(kind.name, drawing.title, drawing.summary, kind.reading, layout, *files))
    return pictures


def _training_curves(subject: Subject) -> Drawing | None:
    """Loss and accuracy over epochs, where the run's history can be read."""
    folder = subject.origin.run
    if folder is None or not (folder / HISTORY).is_file():
        return None
    try:
        run = read_run(folder)
    except LabError:
        return None
    epoch, accuracy = int(run.best["epoch"]), float(run.best["valid_accuracy"])
    summary = f"best epoch {epoch} of {len(run.epochs)}, validation accuracy {accuracy:.1%}"
    return Drawing(curves_figure([run]), "Learning curves", summary)


PICTURES: tuple[PictureKind, ...] = (
    PictureKind(
        name="confusion",
        draw=lambda it: confusion_figure(it.result, it.metrics.confusion, it.normalize),
        reading="Each row holds the images of one true class, each column those of one predicted class; correct "
        "predictions lie on the diagonal. Where there is room, cells give the number of images and its share.",
        layout=lambda classes: "broad" if classes > MOST_BESIDE else "",
    ),
    PictureKind(
        name="roc",
        draw=lambda it: roc_figure(it.result, it.metrics),
        reading="From left to right, more images are assigned to the class: more of its own images (up), and more of "
        "the others, wrongly (right). The closer to the upper left corner, the better; the dotted diagonal is chance.",
    ),
    PictureKind(
        name="precision-recall",
        draw=lambda it: precision_recall_figure(it.result, it.metrics),
        reading="From left to right, more of the class's images are found (recall). The height is the precision: of "
        "the images assigned to the class, the share that belongs to it. Dotted lines, for up to six classes, are "
        "chance: the class's share of the images. For a rare class, this shows more than the ROC curve.",
    ),
    PictureKind(
        name="reliability",
        draw=lambda it: reliability_figure(it.result),
        reading="Above: if 80% of the images with a confidence of 80% are right, the point lies on the diagonal; below "
        "the diagonal, the network is overconfident. Bars are 95% intervals. Below: the number of images in each bin; "
        "points with few images say little.",
    ),
    PictureKind(
        name="scores",
        draw=lambda it: scores_figure(it.result),
        reading="How probabilities are distributed. Of two classes, the second one's, by truth: where distributions "
        "overlap, the classes are confused. Of more, that of the true class, for right and wrong predictions.",
    ),
    PictureKind(
        name="balance",
        draw=lambda it: balance_figure(it.result, set_counts(it.origin)),
        reading="How many images of each class each data set has. Where the shares of classes differ between sets, "
        "accuracy and precision change with them.",
        layout=lambda classes: "tall" if classes > MOST_BESIDE else "",
    ),
    PictureKind(
        name="learning",
        draw=_training_curves,
        reading="Solid: validation images; dashed: training images; the ring marks the epoch that was kept. Where "
        "training keeps improving and validation does not, the network overfits.",
        layout=lambda classes: "broad",
    ),
)
