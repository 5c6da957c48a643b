"""A report's pictures: each from truth and probabilities, readable in grey and by the colour-blind, as PNG and SVG."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.core.errors import LabError
from infer.metrics.result import EvaluationResult
from infer.model.runs import HISTORY
from infer.reports.curves import precision_recall_figure, roc_figure
from infer.reports.figures import balance_figure, confusion_figure, reliability_figure, scores_figure
from infer.reports.plot_style import Drawn, plain_style, png_and_svg
from infer.reports.provenance import Origin, set_counts
from infer.reports.training_history import curves_figure, read_run


@dataclass(frozen=True)
class Picture:
    """One picture of a report."""

    name: str
    """Of its files, without the suffix."""
    title: str
    told: str
    """What it shows, with its figures, for who cannot see it."""
    reading: str
    """How to read it."""
    png: bytes
    svg: bytes


def draw_pictures(
    result: EvaluationResult,
    confusion: NDArray[np.int64],
    normalize: str,
    origin: Origin,
) -> list[Picture]:
    """All pictures that the images allow: no ROC curve, for example, where all are of one class.

    Args:
        result: n predictions for K classes.
        confusion: [K, K] images, rows truth, columns prediction.
        normalize: "true", "pred", "all" or "none": what the shares in the confusion matrix are of, and whether its
            colours show shares or ("none") numbers.
        origin: tells which images the network was trained on, and how its training went.
    """
    with plain_style():
        drawn = [
            confusion_figure(result, confusion, normalize),
            roc_figure(result),
            precision_recall_figure(result),
            reliability_figure(result),
            scores_figure(result),
            balance_figure(result, set_counts(origin)),
            _learning_figure(origin),
        ]
        return [
            Picture(name, title, told, READING[name], *png_and_svg(figure))
            for figure, name, title, told in filter(None, drawn)
        ]


def _learning_figure(origin: Origin) -> Drawn | None:
    """The curves of the training, where its run's history can be read."""
    if origin.run is None or not (origin.run / HISTORY).is_file():
        return None
    try:
        run = read_run(origin.run)
    except LabError:
        return None
    best, accuracy = int(run.best["epoch"]), float(run.best["valid_accuracy"])
    told = f"best epoch {best} of {len(run.epochs)}, validation accuracy {accuracy:.1%}"
    return curves_figure([run]), "learning", "Learning curves", told


READING = {
    "confusion": "Each row holds the images of one true class, each column those of one prediction: the diagonal is "
    "what is right. Every cell tells how many images it holds, and their share.",
    "roc": "From left to right more images are called the class: its own images found (up) against others called so "
    "wrongly (right). The nearer to the upper left corner the better; the dotted diagonal is chance.",
    "precision-recall": "From left to right more of the class's images are found (recall); height is how many of those "
    "called the class are of it (precision). The dotted lines are chance: the class's share of the images. Where a "
    "class is rare, this tells more than the ROC curve.",
    "reliability": "Above: where images that the network is 80% sure of are right in 80% of cases, the points lie on "
    "the diagonal; below it the network is too sure of itself. Bars are 95% intervals. Below: how many images each "
    "point stands for; points of few images say little.",
    "scores": "How sure the network is. Where the humps overlap it mixes classes up.",
    "balance": "The classes' shares in each set of images, and their numbers. Where shares differ from set to set, "
    "accuracy and precision would differ with them.",
    "learning": "Solid: validation images; dashed: training images; the ring is the epoch that was kept. Where "
    "training goes on improving and validation does not, the network learns its images by heart.",
}
