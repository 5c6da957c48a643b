"""ROC and precision-recall curves, one class against the rest, as figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infer.core.arrays import Floats
from infer.metrics.metrics import Metrics
from infer.metrics.result import EvaluationResult
from infer.reports.plot_style import LINES, Drawing, new_figure, plot_text, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 6
"""With more classes than this, the curves of the lowest areas have names and the others are grey."""
MOST_POINTS = 1000
"""Points of a named curve; more would not be visible, and make the file large."""
MOST_GREY_POINTS = 100
"""Points of a grey curve."""
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The curve of one class."""

    class_index: int
    area: float
    x: Points
    y: Points

    def thinned(self, most: int) -> tuple[Points, Points]:
        """Up to `most` of its points, with both ends."""
        kept = np.unique(np.linspace(0, len(self.x) - 1, min(len(self.x), most)).round().astype(int))
        return self.x[kept], self.y[kept]


def roc_figure(result: EvaluationResult, metrics: Metrics) -> Drawing | None:
    """Each class against the rest; with two classes, the second only. None where no class allows a curve."""
    from sklearn.metrics import roc_curve

    only = [1] if len(result.classes) == 2 else None
    curves = []
    for k, truth, scores in _one_versus_rest(result, only):
        false_rate, true_rate, _ = roc_curve(truth, scores)
        curves.append(Curve(k, _area(metrics, k, "roc_auc"), false_rate, true_rate))
    if not curves:
        return None
    figure, axes = _square("false positive rate (1 - specificity)", "true positive rate (sensitivity)")
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=(0, (1, 3)))
    if point := result.operating_point:
        positive, above = result.truth == 1, result.probabilities[:, 1].astype(np.float64) >= point.threshold
        label = f"threshold {point.threshold:.3f}"
        axes.plot([above[~positive].mean()], [above[positive].mean()], "k*", markersize=13, label=label, zorder=5)
    summary = _draw_curves(figure, axes, result, curves, "AUC", "default")
    return Drawing(figure, "ROC curves" if len(curves) > 1 else "ROC curve", summary)


def precision_recall_figure(result: EvaluationResult, metrics: Metrics) -> Drawing | None:
    """Each class against the rest. None where no class allows a curve."""
    from sklearn.metrics import precision_recall_curve

    curves, shares = [], []
    for k, truth, scores in _one_versus_rest(result):
        precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
        curves.append(Curve(k, _area(metrics, k, "average_precision"), recall, precision))
        shares.append(float(truth.mean()))
    if not curves:
        return None
    figure, axes = _square("recall (sensitivity)", "precision (positive predictive value)")
    for index, share in enumerate(shares if len(shares) <= NAMED else ()):
        axes.axhline(share, color=LINES[index][0], linestyle=(0, (1, 3)), linewidth=1)
    summary = _draw_curves(figure, axes, result, curves, "AP", "steps-post")
    return Drawing(figure, "Precision-recall curves", summary)


def _one_versus_rest(
    result: EvaluationResult, only: Sequence[int] | None = None
) -> Iterator[tuple[int, NDArray[np.bool_], Floats]]:
    """Index, whether each image is of the class [n], and its probabilities [n], for classes that divide the images."""
    for k in range(len(result.classes)) if only is None else only:
        truth = result.truth == k
        if truth.any() and not truth.all():
            yield k, truth, result.probabilities[:, k]


def _area(metrics: Metrics, k: int, key: str) -> float:
    area = metrics.per_class[k][key].value
    return np.nan if area is None else area


def _square(x_label: str, y_label: str) -> "tuple[Figure, Axes]":
    figure = new_figure(5.0, 5.4)
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(alpha=0.3)
    return figure, axes


def _draw_curves(
    figure: "Figure", axes: "Axes", result: EvaluationResult, curves: Sequence[Curve], area: str, drawstyle: str
) -> str:
    """Draw the curves with a legend of their areas; the same in words."""
    named = list(curves)
    if len(curves) > NAMED:
        lowest = sorted(curves, key=lambda curve: curve.area)
        named = sorted(lowest[:NAMED], key=lambda curve: curve.class_index)
        _draw_grey(axes, lowest[NAMED:], drawstyle)
    for index, curve in enumerate(named):
        colour, dashes, marker = LINES[index]
        label = f"{plot_text(str(result.classes[curve.class_index]))}: {area} {curve.area:.3f}"
        # a marker at each tenth of the way, so that a grey print keeps the lines apart
        style: dict[str, Any] = {
            "marker": marker,
            "markevery": (0.03 + 0.02 * index, 0.1),
            "markersize": 5,
            "drawstyle": drawstyle,
        }
        points = curve.thinned(MOST_POINTS)
        axes.plot(*points, color=colour, linestyle=dashes, linewidth=1.6, label=label, clip_on=False, **style)
    more = len(curves) - len(named)
    others = f"{more} more classes in grey, with higher {area}" if more else None
    columns = 2 if len(named) > 1 and max(len(str(result.classes[c.class_index])) for c in named) <= 12 else 1
    figure.legend(loc="outside lower center", ncols=columns, fontsize="small", title=others, title_fontsize="small")
    areas = [f"{short(str(result.classes[curve.class_index]))} {curve.area:.3f}" for curve in named]
    return f"{area}: {', '.join(areas)}" + (f"; {others}" if others else "")


def _draw_grey(axes: "Axes", curves: Sequence[Curve], drawstyle: str) -> None:
    """Curves without names, as one line with gaps: a line each would take seconds for 1,000 classes."""
    gap = np.array([np.nan])
    points = [curve.thinned(MOST_GREY_POINTS) for curve in curves]
    x, y = (np.concatenate([part for pair in points for part in (pair[axis], gap)]) for axis in (0, 1))
    axes.plot(x, y, color="0.75", linewidth=0.8, drawstyle=drawstyle)
